"""What is wrong with a call, or with the disk, is said in a line, and nothing is changed."""

import errno
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from helping import arguments

from experiments.cli import main as command_line
from experiments.cli.options import VARIABLES
from report.__main__ import main as write_page

BAD = {
    "ablation": (["run", "positional-encodin"], "did you mean 'positional-encoding'?"),
    "profile": (["run", "--profile", "huge"], "there are auto, smoke, cpu, gpu"),
    "device": (["run", "--device", "tpu"], "there are auto, cuda, mps, cpu"),
    "executor": (["run", "--executor", "slurm"], "there are local"),
    "precision": (["run", "--precision", "fp8"], "there are auto, fp32, bf16"),
    "compile": (["run", "--compile", "perhaps"], "--compile"),
    "slots": (["run", "--slots-per-gpu", "2", "--device", "cpu"], "for the device cuda"),
    "seeds": (["run", "--seeds", "0"], "--seeds"),
    "jobs": (["run", "--jobs", "many"], "--jobs"),
    "option": (["run", "--no-such-option"], "No such option"),
    "benchmark": (["bench", "--corpus", "no/such/file.txt"], "does not exist"),
    "corpus": (["run", "--corpus", "no/such/file.txt"], "does not exist"),
    "tokenizer": (["run", "--tokenizer", "bytes"], "there are characters, bpe"),
    "bench": (["bench", "--tokenizer", "bpe"], "a benchmark is by character"),
    "vocabulary": (["run", "--vocab-size", "300"], "VOCAB_SIZE is for TOKENIZER=bpe"),
    "tracker": (["run", "--tracker", "tensorbord"], "did you mean 'tensorboard'?"),
    "new ablation": (["new-ablation", "../heads"], "must be words of a to z"),
    "no name": (["new-ablation", ""], "NAME is missing"),
    "an old name": (["new-ablation", "heads"], "there is an ablation 'heads' already"),
    "a target": (["new-ablation", "list"], "'list' is a target of make already"),
    "no study": (["status", "--profile", "gpu"], "run `make all` first"),
    "no run": (["sample", "abc", "--profile", "gpu"], "'abc' is no run in"),
    "timeout": (["run", "--run-timeout", "nan"], "is no number of seconds"),
    "checkpoints": (["run", "--checkpoint-seconds", "-1"], "--checkpoint-seconds"),
    "nothing to verify": (["verify", "--profile", "gpu"], "run `make all` first"),
    "nothing to report": (["report", "--profile", "gpu"], "run `make all` first"),
    "nothing named to delete": (["clean"], "unknown profile to delete 'auto'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_status_2_and_changes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    words, expected = BAD[case]
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments(tmp_path, *words)[3:]])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    said = capfd.readouterr().err
    assert left.value.code == 2
    assert expected in said
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_no_such_device_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("experiments.records.provenance.devices_present", lambda: ["cpu"])
    monkeypatch.setattr(sys, "argv", ["x", *arguments(tmp_path, "run", "--device", "cuda")[3:]])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    assert "device 'cuda' is not on this machine: it has cpu" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_one_line(
    number: int,
    tmp_path: Path,
    text_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def refuse(*_: object):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("experiments.records.study.write_sealed", refuse)
    words = arguments(tmp_path, "run", "--profile", "smoke", "--corpus", str(text_file))[3:]
    monkeypatch.setattr(sys, "argv", ["x", *words])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: while writing results\n"


def test_a_page_that_no_disk_takes_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refuse(_: object):
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr("report.page.build", refuse)
    done = CliRunner().invoke(write_page, [str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == "error: No space left on device: report.html\n"
