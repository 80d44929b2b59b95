"""Whatever file is damaged: that is noticed, said, and made good."""

from pathlib import Path

import pytest
from helping import DAMAGES, damage, flipped, leave_finished
from stopping import lengthened, numbers, stopped, whole

from experiments.data.corpus import Corpus
from experiments.errors import UserError
from experiments.files import DamagedError, read_sealed, write_sealed
from experiments.planning.plan import PlannedRun
from experiments.records.collect import (
    is_measured,
    read_table,
    set_aside,
    write_missing,
    write_table,
)
from experiments.running.job import Job
from experiments.running.local import Local
from experiments.running.runner import run_study
from experiments.spec import RunSpec


@pytest.mark.parametrize(
    "name", ["summary.json", "metrics.jsonl", "probes/heads.json", "spec.json"]
)
@pytest.mark.parametrize("how", DAMAGES)
def test_any_damage_to_a_finished_run_is_detected(
    spec: RunSpec, tmp_path: Path, name: str, how: str
):
    metrics = '{"step": 0, "split": "val", "loss": 2.0}\n'
    folder = leave_finished(tmp_path, spec, metrics=metrics, probes={"heads": '{"heads": []}'})
    assert folder.finished(["heads"])
    assert folder.damage() == ""
    damage(folder.path / name, how)
    if (name, how) == ("summary.json", "gone"):  # then it never finished
        assert folder.summary() is None
        return
    assert folder.status() == "damaged"
    assert not folder.finished()
    assert folder.damage() == f"{Path(name).name} is not as it was written"


@pytest.fixture
def spec(spec: RunSpec) -> RunSpec:
    return lengthened(spec)


@pytest.mark.parametrize("how", ["cut", "flipped"])
@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.json", "checkpoint-*.safetensors"])
def test_a_damaged_run_is_set_aside_and_named_and_trained_again(
    spec: RunSpec, corpus: Corpus, tmp_path: Path, capsys, how: str, name: str
):
    undisturbed = numbers(whole(spec, corpus, tmp_path / "one"))
    folder = stopped(spec, corpus, tmp_path / "cpu", at=20)
    (file,) = folder.path.glob(name)
    damage(file, how)
    job = Job(corpus, tmp_path / "cpu", {})
    outcome = run_study([PlannedRun("planted", "base", spec)], job, ["cpu"], Local())
    assert (outcome.trained, outcome.failed) == (1, {})
    output = capsys.readouterr().out
    assert "damaged: seed 0 planted/base: " in output
    assert f"{file.name} is not as it was written: set aside as" in output
    assert len(list((tmp_path / "cpu" / "damaged").iterdir())) == 1
    assert numbers(folder) == undisturbed


def test_no_flipped_bit_of_a_table_changes_what_is_read(tmp_path: Path):
    rows = [{"check": "permutation", "holds": True, "why": "because"}]
    write_table(tmp_path, "identities", rows)
    file = tmp_path / "identities.parquet"
    content, before = file.read_bytes(), read_table(tmp_path, "identities")
    noticed = 0
    for place in range(len(content)):
        file.write_bytes(flipped(content, place, bit=4))
        try:
            assert read_table(tmp_path, "identities").equals(before)
        except UserError:
            noticed += 1
    assert noticed > 100


@pytest.mark.parametrize("how", ["cut", "empty"])
def test_a_damaged_table_is_named_and_set_aside(tmp_path: Path, how: str):
    rows = [{"check": "permutation", "holds": True, "why": "x" * 1000}]
    write_table(tmp_path, "identities", rows)
    assert is_measured(tmp_path, "identities")
    set_aside(tmp_path, "identities")
    assert is_measured(tmp_path, "identities")  # nothing was wrong with it
    damage(tmp_path / "identities.parquet", how)
    with pytest.raises(UserError, match=r"identities\.parquet is damaged"):
        read_table(tmp_path, "identities")
    assert not is_measured(tmp_path, "identities")
    write_missing(tmp_path)
    assert len(read_table(tmp_path, "identities")) == 0
    assert len(list((tmp_path / "damaged").iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b'{"seal": 1}', b'{"a": 1}', b"\xff\xfe", b'"seal"'],
)
def test_a_file_without_a_seal_is_damaged(tmp_path: Path, content: bytes):
    write_sealed(tmp_path / "a", {"x": [1.5, None], "y": "ü"})
    assert read_sealed(tmp_path / "a") == {"x": [1.5, None], "y": "ü"}
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DamagedError):
        read_sealed(tmp_path / "a")


def test_a_changed_digit_that_changes_no_number_is_damage_too(tmp_path: Path):
    file = tmp_path / "a"
    write_sealed(file, {"x": 0.1 + 0.2})
    changed = file.read_bytes().replace(b"0.30000000000000004", b"0.30000000000000005")
    assert float("0.30000000000000005") == 0.1 + 0.2
    file.write_bytes(changed)
    with pytest.raises(DamagedError):
        read_sealed(file)
