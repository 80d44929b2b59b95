"""Bad input and a failing disk are reported in one line, and nothing is changed on disk."""

import errno
import os
import sys
from pathlib import Path

import pytest
from helping import arguments

from experiments.cli import main as command_line
from experiments.cli.options import VARIABLES
from report.__main__ import main as report

# Arguments of a call, and a part of the message.
BAD_CALLS = {
    "ablation": (["run", "positional-encodin"], "did you mean 'positional-encoding'?"),
    "command": (["rnu"], 'Did you mean "run"?'),
    "profile": (["run", "--profile", "huge"], 'Choose from: "auto", "smoke", "cpu", "gpu"'),
    "profile nearly": (["run", "--profile", "smok"], 'Did you mean "smoke"?'),
    "device": (["run", "--device", "tpu"], 'Choose from: "auto", "cuda", "mps", "cpu"'),
    "executor": (["run", "--executor", "slurm"], 'Choose from: "local", "ray"'),
    "precision": (["run", "--precision", "fp8"], 'Choose from: "auto", "fp32", "bf16"'),
    "compile": (["run", "--compile=perhaps"], "--compile"),
    "slots": (["run", "--slots-per-gpu", "2", "--device", "cpu"], "for the device cuda"),
    "seeds": (["run", "--seeds", "0"], 'Invalid value "0" for --seeds. Must be >= 1'),
    "too many seeds": (["run", "--seeds", "801"], "for --seeds. Must be <= 800"),
    "seed of a pilot": (["run", "--first-seed", "5"], "for --first-seed. Must be >= 200"),
    "jobs": (["run", "--jobs", "many"], 'for --jobs: unable to convert "many" into int'),
    "option": (["run", "--no-such-option"], "Unknown option: --no-such-option"),
    "option nearly": (["run", "--sedes", "3"], "Did you mean --seeds?"),
    "unused option": (["report", "--seeds", "3"], "Unknown option: --seeds"),
    "unused argument": (["list", "heads"], "heads"),
    "benchmark": (["bench", "--corpus", "no/such/file.txt"], "does not exist"),
    "corpus": (["run", "--corpus", "no/such/file.txt"], "does not exist"),
    "tokenizer": (["run", "--tokenizer", "bytes"], 'Choose from: "characters", "bpe"'),
    "bench": (["bench", "--tokenizer", "bpe"], "a benchmark is by character"),
    "vocabulary": (["run", "--vocab-size", "300"], "VOCAB_SIZE is for TOKENIZER=bpe"),
    "bytes": (["run", "--vocab-size", "256", "--tokenizer", "bpe"], "Must be >= 257"),
    "tracker": (["run", "--tracker", "tensorbord"], 'Did you mean "tensorboard"?'),
    "new ablation": (["new-ablation", "../heads"], "must be words of a to z"),
    "no name": (["new-ablation", ""], "NAME is missing"),
    "an old name": (["new-ablation", "heads"], "there is an ablation 'heads' already"),
    "a target": (["new-ablation", "list"], "'list' is a target of make already"),
    "no study": (["status", "--profile", "gpu"], "run `make all` first"),
    "no run": (["sample", "abc", "--profile", "gpu"], "'abc' is no run in"),
    "timeout": (["run", "--run-timeout", "nan"], 'Invalid value "nan" for --run-timeout'),
    "no timeout": (["run", "--run-timeout", "0"], "for --run-timeout. Must be > 0"),
    "endless timeout": (["run", "--run-timeout", "inf"], "for --run-timeout. Must be < inf"),
    "checkpoints": (
        ["run", "--checkpoint-seconds", "-1"],
        "for --checkpoint-seconds. Must be >= 0",
    ),
    "nothing to verify": (["verify", "--profile", "gpu"], "run `make all` first"),
    "nothing to report": (["report", "--profile", "gpu"], "run `make all` first"),
    "nothing to write up": (["paper", "--profile", "gpu"], "run `make all` first"),
    **{
        f"budgets {text!r}": (
            ["run", f"--budgets={text}", "--profile", "cpu"],
            f"BUDGETS={text} cannot work: budgets are whole, positive and increasing numbers",
        )
        for text in (
            *("four", "1.5", "1;4", "²", "-1", "1,-4", "1,,4", "1,4,", "", ",", "0", "0,1"),
            *("4,1", "1,1", "1e3", "+4", "1_0"),
        )
    },
    **{
        f"budgets {text!r}": (
            ["run", f"--budgets={text}", "--profile", "cpu"],
            f"BUDGETS={text} cannot work: the profile cpu has no budget {text[-1]}: it has 1,",
        )
        for text in ("2", "1,2", "1,4,8")
    },
    "endless budgets": (["run", f"--budgets={'9' * 5000}"], "BUDGETS"),
    "budgets of a list": (["list", "--budgets", "4,1"], "BUDGETS=4,1 cannot work"),
    "budgets to retry": (["retry", "--budgets", "3"], "has no budget 3"),
    "budgets of a deeper study": (["deeper", "--budgets", "4"], "BUDGETS is for `make all`"),
    "ablation of a deeper study": (["deeper", "heads"], "heads"),
    **{
        f"hours {text!r}": (["decide", f"--hours={text}"], "for --hours")
        for text in ("0", "-1", "nan", "inf", "two")
    },
    "no hours": (["decide"], "decide needs HOURS, the time for further seeds"),
    "seeds to decide": (["decide", "--hours=1", "--seeds=8"], "SEEDS and BUDGETS are for `make"),
    "budgets to decide": (["decide", "--hours=1", "--budgets=4"], "SEEDS and BUDGETS are for"),
    "nothing to decide": (["decide", "--hours=1", "--profile", "gpu"], "run `make all` first"),
    "nothing to compare with": (["compare"], "compare needs second studies: `make compare SEC"),
    "nothing named to delete": (["clean"], "unknown profile to delete 'auto'"),
}
# The same through the environment.
BAD_VARIABLES = {
    "SEEDS": ("0", 'Invalid value "0" for SEEDS'),
    "BUDGETS": ("4,1", "BUDGETS=4,1 cannot work"),
    "JOBS": ("many", "for JOBS"),
    "PROFILE": ("smok", 'Did you mean "smoke"?'),
    "COMPILE": ("perhaps", "for COMPILE"),
    "FAIL_FAST": ("perhaps", "for FAIL_FAST"),
    "RUN_TIMEOUT": ("nan", "for RUN_TIMEOUT"),
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without variables that set options."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def exit_status(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """Exit status of the command line, called in this process."""
    monkeypatch.setattr(sys, "argv", ["experiments", *words])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    return left.value.code


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_one_line_and_status_2_and_changes_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    words, expected = BAD_CALLS[case]
    assert exit_status(arguments(tmp_path, *words)[3:], monkeypatch) == 2
    message = capfd.readouterr().err
    assert expected in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_a_bad_environment_variable_is_refused_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    value, expected = BAD_VARIABLES[name]
    monkeypatch.setenv(name, value)
    assert exit_status(arguments(tmp_path, "run")[3:], monkeypatch) == 2
    message = capfd.readouterr().err
    assert expected in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_present_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("experiments.running.devices.devices_present", lambda: ["cpu"])
    assert exit_status(arguments(tmp_path, "run", "--device", "cuda")[3:], monkeypatch) == 2
    assert "device 'cuda' is not on this machine: it has cpu" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_reported_in_one_line(
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
    assert exit_status(words, monkeypatch) == 2
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: while writing results\n"


def test_a_page_that_cannot_be_written_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(_: object):
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr("report.output.page.build", refuse)
    assert report([str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: No space left on device: report.html\n"
