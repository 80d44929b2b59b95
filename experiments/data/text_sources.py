"""The user's own texts: a file, a folder of files, or a column of a Parquet file.

Texts are read in pieces, so that memory use does not grow with the length of a text.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.errors import UserError
from model.config import nearest

Pieces = Callable[[], Iterator[str]]  # every call reads the text from its beginning

_PIECE = 1 << 20  # bytes per read
_ROWS = 256  # rows per read of a Parquet file
_BETWEEN = "\n\n"  # separates two documents


def pieces_of(name: str) -> Pieces:
    """Find the text called `name` and return a function that reads the text in pieces.

    Args:
        name: the path of a UTF-8 file; the path of a folder, whose `*.txt` files are joined in
            the order of their names; or the path of a Parquet file, a colon and the name of a
            column, whose rows are joined.

    Raises:
        UserError: there is no such text. Reading the pieces raises `UserError` where the text
            cannot be read or is not UTF-8.
    """
    path = Path(name)
    file, _, column = name.rpartition(":")
    try:
        if file.endswith(".parquet"):
            return _parquet_column(Path(file), column)
        if name.endswith(".parquet"):
            return _parquet_column(path, "")
        if path.is_dir():
            return _text_files(path)
        if path.exists() and not path.is_file():  # a device may have no end
            raise UserError(f"corpus '{path}' is neither a file nor a folder")
        path.stat()
    except FileNotFoundError:
        raise UserError(
            f"corpus '{name}' does not exist: give shakespeare, tinyshakespeare, or the path of a"
            " text file, of a folder of them, or of a parquet file with :column"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"corpus '{name}' cannot be read: {error}") from None
    return partial(_read_file, path)


def part(pieces: Iterable[str], start: int, end: int) -> Iterator[str]:
    """Yield the characters of a text from `start` up to, not including, `end`."""
    position = 0
    for piece in pieces:
        if position + len(piece) > start:
            yield piece[max(0, start - position) : end - position]
        position += len(piece)
        if position >= end:
            return


def whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces that end with a line. A longer line is cut."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        cut = text.rfind("\n") + 1 or len(text)
        if text:
            yield text[:cut]
        rest = text[cut:]
    if rest:
        yield rest


def _read_file(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            try:
                yield from codecs.iterdecode(iter(partial(file.read, _PIECE), b""), "utf-8")
            except UnicodeDecodeError as error:
                position = file.tell() - len(error.object) + error.start
                raise UserError(
                    f"corpus '{path}' is not UTF-8 text: byte {position} is invalid"
                ) from None
    except OSError as error:
        raise UserError(f"corpus '{path}' cannot be read: {error.strerror}") from None


def _text_files(folder: Path) -> Pieces:
    # Not recursive: CORPUS=/ would search the whole disk.
    files = sorted(file for file in folder.glob("*.txt") if file.is_file())
    if not files:
        raise UserError(f"corpus '{folder}' is a folder without any file *.txt")
    return partial(_read_files, files)


def _read_files(files: list[Path]) -> Iterator[str]:
    yield from _read_file(files[0])
    for file in files[1:]:
        yield _BETWEEN
        yield from _read_file(file)


def _parquet_column(path: Path, column: str) -> Pieces:
    try:
        fields = pq.read_schema(path)
    except pa.ArrowInvalid:
        raise UserError(f"corpus '{path}' is not a Parquet file") from None
    text_types = (pa.string(), pa.large_string())
    columns = [field.name for field in fields if field.type in text_types]
    if column not in columns:
        problem = f"has no text column '{column}'" if column else "needs a column, as in x:text"
        hint = nearest(column, columns) or f": its text columns are {', '.join(columns) or 'none'}"
        raise UserError(f"corpus '{path}' {problem}{hint}")
    return partial(_read_column, path, column)


def _read_column(path: Path, column: str) -> Iterator[str]:
    """Yield the rows of a column that are neither null nor empty, joined."""
    separator = ""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=[column]):
                texts = [text for text in batch.column(0).to_pylist() if text]
                if texts:
                    yield separator + _BETWEEN.join(texts)
                    separator = _BETWEEN
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"corpus '{path}' cannot be read: {error}") from None
