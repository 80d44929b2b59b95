"""Texts of one's own: a file, a folder of files, or a column of a parquet file.

A text is handed out in pieces, so that however long it is, a few of them are all that is in memory.
"""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.errors import UserError
from model.config import nearest

Pieces = Callable[[], Iterator[str]]  # a text from its beginning, at every call

_PIECE = 1 << 20  # bytes
_BETWEEN = "\n\n"  # two documents


def pieces_of(name: str) -> Pieces:
    """The text called `name`: the path of a UTF-8 file, of a folder, whose files `*.txt` follow
    one another by name, or of a parquet file with a column's name after a colon, whose rows do.

    Raises:
        UserError: there is no such text; or, from the pieces, it cannot be read or is not UTF-8.
    """
    path = Path(name)
    file, _, column = name.rpartition(":")
    try:
        if file.endswith(".parquet") or name.endswith(".parquet"):
            return _parquet(*((Path(file), column) if file.endswith(".parquet") else (path, "")))
        if path.is_dir():
            return _folder(path)
        if path.exists() and not path.is_file():  # a device that has no end
            raise UserError(f"corpus '{path}' is neither a file nor a folder")
        path.stat()
    except FileNotFoundError:
        raise UserError(
            f"corpus '{name}' does not exist: give shakespeare, tinyshakespeare, or the path of a"
            " text file, of a folder of them, or of a parquet file with :column"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"corpus '{name}' cannot be read: {error}") from None
    return lambda: _file(path)


def part(pieces: Pieces, start: int, end: int) -> Pieces:
    """The characters of a text from `start` up to `end`."""

    def between() -> Iterator[str]:
        place = 0
        for piece in pieces():
            if place + len(piece) > start:
                yield piece[max(0, start - place) : end - place]
            place += len(piece)
            if place >= end:
                return

    return between


def whole_lines(pieces: Pieces) -> Pieces:
    """The same text in pieces that end where a line does, but for lines longer than a piece."""

    def lines() -> Iterator[str]:
        rest = ""
        for piece in pieces():
            text = rest + piece
            cut = text.rfind("\n") + 1 or len(text)
            if text:
                yield text[:cut]
            rest = text[cut:]
        if rest:
            yield rest

    return lines


def _file(path: Path) -> Iterator[str]:
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        with path.open("rb") as file:
            while content := file.read(_PIECE):
                held = len(decoder.getstate()[0])
                yield decoder.decode(content)
                place += len(content)
            held = len(decoder.getstate()[0])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        wrong = place - held + error.start
        raise UserError(f"corpus '{path}' is not UTF-8 text: byte {wrong} is not") from None
    except OSError as error:
        raise UserError(f"corpus '{path}' cannot be read: {error.strerror}") from None


def _folder(path: Path) -> Pieces:
    # not below it: "/" would be a walk through all that there is
    files = sorted(file for file in path.glob("*.txt") if file.is_file())
    if not files:
        raise UserError(f"corpus '{path}' is a folder without any file *.txt")

    def joined() -> Iterator[str]:
        for i, file in enumerate(files):
            if i:
                yield _BETWEEN
            yield from _file(file)

    return joined


def _parquet(path: Path, column: str) -> Pieces:
    try:
        fields = pq.read_schema(path)
    except pa.ArrowInvalid:
        raise UserError(f"corpus '{path}' is no parquet file") from None
    kinds = (pa.string(), pa.large_string())
    texts = [field.name for field in fields if field.type in kinds]
    if column not in texts:
        hint = nearest(column, texts) or f": its columns of text are {', '.join(texts) or 'none'}"
        asked = f"has no column of text '{column}'" if column else "needs a column, as in x:text"
        raise UserError(f"corpus '{path}' {asked}{hint}")

    def rows() -> Iterator[str]:
        try:
            first = True
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=256, columns=[column]):
                    found = [text for text in batch.column(0).to_pylist() if text]
                    if found:
                        yield ("" if first else _BETWEEN) + _BETWEEN.join(found)
                        first = False
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(f"corpus '{path}' cannot be read: {error}") from None

    return rows
