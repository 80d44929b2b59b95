"""The user's own texts: files, folders and Parquet columns, by character and by byte pairs."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data import text_sources
from experiments.data.corpus import Corpus, prepare_corpus
from experiments.data.text_sources import part, pieces_of, whole_lines
from experiments.data.tokenizer import BytePairs, smallest_dtype
from experiments.errors import UserError
from experiments.recipe import SPLITS

PASSAGES = [f"{i}. Überall ist Ζεύς “{'so ' * (i % 7)}” 🎭\n" for i in range(900)]


def read(corpus: Corpus, split: str) -> str:
    return corpus.tokenizer.decode(corpus.tokens(split).tolist())


@pytest.fixture(params=["file", "folder", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A value of CORPUS, and the text that the corpus should have."""
    text = "".join(PASSAGES)
    if request.param == "file":
        (tmp_path / "own.txt").write_text(text)
        return str(tmp_path / "own.txt"), text
    documents = ["".join(PASSAGES[i : i + 90]) for i in range(0, 900, 90)]
    if request.param == "folder":
        for i, document in enumerate(documents):
            (tmp_path / "own" / "below").mkdir(parents=True, exist_ok=True)
            (tmp_path / "own" / f"{i}.txt").write_text(document)
        for name in ("notes.md", "below/more.txt"):
            (tmp_path / "own" / name).write_text("not part of the corpus")
        return str(tmp_path / "own"), "\n\n".join(documents)
    rows = [*documents[:4], None, *documents[4:], ""]
    pd.DataFrame({"id": range(len(rows)), "text": rows}).to_parquet(tmp_path / "own.parquet")
    return f"{tmp_path / 'own.parquet'}:text", "\n\n".join(documents)


@pytest.mark.parametrize("vocab_size", [None, 300])
def test_splits_join_to_the_text_for_every_source_and_tokenizer(
    source, vocab_size: int | None, tmp_path: Path
):
    name, text = source
    corpus = prepare_corpus(name, tmp_path / "data", vocab_size)
    parts = {split: read(corpus, split) for split in SPLITS}
    assert "".join(parts.values()) == text
    assert len(parts["train"]) == int(0.9 * len(text))
    assert corpus.characters == {split: len(part) for split, part in parts.items()}
    assert corpus.bytes == {split: len(part.encode()) for split, part in parts.items()}
    assert corpus.lengths == {split: len(corpus.tokens(split)) for split in SPLITS}
    assert prepare_corpus(name, tmp_path / "data", vocab_size) == corpus  # read back
    if vocab_size:
        assert len(corpus.vocabulary) == vocab_size
        assert corpus.lengths["train"] < len(parts["train"].encode()) / 2


def test_byte_pairs_are_trained_on_the_training_split_only(tmp_path: Path):
    train = "the cat sat on the mat\n" * 900
    corpora = []
    for i, rest in enumerate(("zebra quiz\n", "the cat is\n")):
        text = train + rest * (len(train) // 9 // 11)
        (tmp_path / f"{i}.txt").write_text(text)
        corpora.append(prepare_corpus(str(tmp_path / f"{i}.txt"), tmp_path / "data", 266))
    assert corpora[0].vocabulary == corpora[1].vocabulary
    assert not any("zeb" in token for token in corpora[0].vocabulary)
    assert len({corpus.hash for corpus in corpora}) == 2


def test_the_vocabulary_is_part_of_the_identity(text_file: Path, tmp_path: Path):
    sizes = (None, 258, 259)
    assert len({prepare_corpus(str(text_file), tmp_path, size).hash for size in sizes}) == 3


def test_a_vocab_size_above_the_pairs_of_the_text_is_refused(text_file: Path, tmp_path: Path):
    with pytest.raises(UserError, match="VOCAB_SIZE=5000 is more than the text has: "):
        prepare_corpus(str(text_file), tmp_path, 5000)
    assert not list(tmp_path.iterdir())


def test_byte_pairs_do_not_depend_on_how_the_text_is_cut_into_pieces():
    text = "".join(PASSAGES)
    pieces = [text[i : i + 777] for i in range(0, len(text), 777)]
    whole, cut = BytePairs.trained([text], 400), BytePairs.trained(pieces, 400)
    assert cut.library.to_str() == whole.library.to_str()
    ids_of_text, ids_of_pieces = (
        np.concatenate(list(whole.encode(source))) for source in ([text], pieces)
    )
    assert (ids_of_text == ids_of_pieces).all()


def test_unigram_loss_per_byte_matches_a_hand_calculation(tmp_path: Path):
    (tmp_path / "ab.txt").write_text("ab" * 5000)
    corpus = prepare_corpus(str(tmp_path / "ab.txt"), tmp_path / "data")
    nats_per_byte = corpus.unigram_loss * corpus.lengths["val"] / corpus.bytes["val"]
    assert nats_per_byte / math.log(2) == pytest.approx(1.0)


@given(st.lists(st.text(max_size=9), max_size=9), st.integers(0, 80), st.integers(0, 80))
def test_parts_and_whole_lines_join_to_the_text(pieces: list[str], first: int, second: int):
    text, (start, end) = "".join(pieces), sorted((first, second))
    assert "".join(part(pieces, start, end)) == text[start:end]
    assert "".join(whole_lines(pieces)) == text


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(256, "uint8"), (257, "int16"), (40_000, "int32")]
)
def test_smallest_dtype_holds_the_highest_id(vocab_size: int, dtype: str):
    assert smallest_dtype(vocab_size).__name__ == dtype
    assert np.array([vocab_size - 1], dtype=smallest_dtype(vocab_size))[0] == vocab_size - 1


def test_the_first_byte_that_is_not_utf8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_sources, "_PIECE", 5)  # characters are cut between two pieces
    (tmp_path / "bad.txt").write_bytes("aéÜ🎭".encode() * 3 + b"\xff" + b"a" * 30)
    with pytest.raises(UserError, match="is not UTF-8 text: byte 27 is invalid"):
        list(pieces_of(str(tmp_path / "bad.txt"))())
    (tmp_path / "cut.txt").write_bytes("aéÜ🎭".encode()[:-1])
    with pytest.raises(UserError, match="is not UTF-8 text: byte 5 is invalid"):
        list(pieces_of(str(tmp_path / "cut.txt"))())


def test_a_source_that_is_not_text_is_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.parquet").write_text("PAR1 and no more")
    pd.DataFrame({"id": [1], "text": ["a"], "title": ["b"]}).to_parquet(tmp_path / "x.parquet")
    refusals = {
        str(tmp_path / "empty"): "is a folder without any file",
        str(tmp_path / "no.parquet"): "is not a Parquet file",
        f"{tmp_path}/no.parquet:text": "is not a Parquet file",
        f"{tmp_path}/gone.parquet:text": "does not exist",
        str(tmp_path / "x.parquet"): r"needs a column, as in x:text: .* are text, title",
        f"{tmp_path}/x.parquet:txt": "has no text column 'txt', did you mean 'text'",
        f"{tmp_path}/x.parquet:id": "has no text column 'id'",
        "a\0b": "cannot be read",
    }
    for name, message in refusals.items():
        with pytest.raises(UserError, match=message):
            prepare_corpus(name, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_preparing_a_long_text_takes_little_memory(tmp_path: Path):
    """A text held in memory as a whole would add a hundred megabytes."""
    line = "All the world's a stage, and all the men and women merely players.\n"
    with (tmp_path / "long.txt").open("w") as file:
        for _ in range(1600):
            file.write(line * 1000)  # 107 MB
    code = (
        "import resource, sys; from pathlib import Path;"
        "from experiments.data.corpus import prepare_corpus;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "prepare_corpus(sys.argv[1], Path(sys.argv[2]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "long.txt"), str(tmp_path / "data")]
    process = subprocess.run(words, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    files = sum(file.stat().st_size for file in (tmp_path / "data").rglob("*.npy"))
    assert files == pytest.approx(107.2e6, rel=0.01)  # one byte per character
    assert int(process.stdout) * unit < 60e6
