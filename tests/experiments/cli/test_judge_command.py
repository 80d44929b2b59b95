"""The command `judge`: verdicts on anybody's runs, exit statuses, and files that are refused."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helping import ROOT

from experiments.cli import main as command_line
from experiments.files import sha256

EXAMPLE = ROOT / "examples" / "judge"
RUNS, CLAIMS = EXAMPLE / "runs.csv", EXAMPLE / "claims.py"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that calls `judge`, and returns the exit status, the output and the errors."""

    def call(runs: Path = RUNS, claims: Path = CLAIMS, *options: str) -> tuple[int, str, str]:
        words = ["experiments", "judge", str(runs), "--claims", str(claims), *options]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


def test_the_example_has_a_supported_an_equal_and_an_untestable_claim(judge: Command):
    status, output, _ = judge()
    assert status == 0
    verdicts = dict(re.findall(r"^(\w+): “.*” (supported|not testable): ", output, re.MULTILINE))
    assert verdicts == {
        "wide": "supported",
        "renamed": "supported",
        "untrained": "not testable",
    }
    assert "2 supported, 1 not testable" in output
    assert "No looks were planned" in output
    assert "Without a gate" not in output


def test_the_example_is_what_its_script_makes(tmp_path: Path):
    script = tmp_path / "make_runs.py"
    script.write_text((EXAMPLE / "make_runs.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True)
    assert (tmp_path / "runs.csv").read_text() == RUNS.read_text()


def test_the_exit_status_says_whether_every_claim_has_the_required_verdict(
    judge: Command, tmp_path: Path
):
    assert judge(RUNS, CLAIMS, "--require", "supported")[0] == 1  # one is not testable
    text = CLAIMS.read_text()
    one = tmp_path / "one.py"
    one.write_text(text[: text.index('    Claim(\n        id="renamed"')] + "]\n")
    assert judge(RUNS, one, "--require", "supported")[0] == 0
    assert judge(RUNS, one, "--require", "reversed")[0] == 1
    assert judge(RUNS, one, "--require", "supported", "--looks", "9")[0] == 1  # interim
    assert judge(RUNS, one, "--require", "good")[0] == 2


def test_json_has_a_version_and_a_row_per_claim(judge: Command):
    status, output, _ = judge(RUNS, CLAIMS, "--json")
    content = json.loads(output)
    assert (status, content["version"]) == (0, 1)
    wide, _, untrained = content["claims"]
    assert (wide["verdict"], wide["n"], wide["paired"]) == ("supported", 8, True)
    assert wide["low"] < wide["effect"] < wide["high"]
    assert untrained["p"] is None


def test_parquet_and_json_lines_have_the_verdicts_of_the_csv(judge: Command, tmp_path: Path):
    runs = pd.read_csv(RUNS)
    runs.to_parquet(tmp_path / "runs.parquet")
    runs.to_json(tmp_path / "runs.jsonl", orient="records", lines=True)
    outputs = {judge(file, CLAIMS, "--json")[1] for file in (RUNS, *tmp_path.iterdir())}
    assert len(outputs) == 1


def test_claims_without_a_gate_are_named(judge: Command, tmp_path: Path):
    file = tmp_path / "claims.py"
    file.write_text(re.sub(r"requires=\[.*\],", "", CLAIMS.read_text(), count=1))
    assert "was not checked: wide." in judge(RUNS, file)[1]


HEAD = "variant,seed,val_loss\n"
WHOLE = "".join(f"{name},{seed},{1 + seed / 8}\n" for name in "ab" for seed in range(3))
MALFORMED = {
    "empty.csv": "",
    "head.csv": HEAD,
    "binary.csv": b"\x00\xff\xfe\x00" * 9,
    "latin.csv": HEAD.encode() + "é,0,1\n".encode("latin-1"),
    "ragged.csv": HEAD + "a,0,1\na,1,2,3,4\n",
    "quote.csv": HEAD + '"a,0,1\n',
    "words.csv": HEAD + WHOLE + "b,3,low\n",
    "twice.csv": HEAD + WHOLE + "a,0,1.5\n",
    "no-seed.csv": HEAD + WHOLE + "a,,1.5\n",
    "no-variant.csv": HEAD + WHOLE + ",3,1.5\n",
    "no-column.csv": "variant,seed,loss\n" + WHOLE,
    "semicolons.csv": (HEAD + WHOLE).replace(",", ";"),
    "no-head.csv": WHOLE,
    "other-variant.csv": (HEAD + WHOLE).replace("b,", "c,"),
    "step.csv": "variant,seed,val_loss,step\n" + WHOLE.replace("\n", ",x\n"),
    "budget.csv": "variant,seed,val_loss,budget\n" + WHOLE.replace("\n", ",\n"),
    "runs.parquet": "not parquet",
    "runs.jsonl": '{"variant": "a", "seed": 0\n',
    "list.jsonl": "[1, 2]\n",
    "runs.txt": HEAD + WHOLE,
}

CLAIM = """
from report.verdicts import Claim
CLAIMS = [Claim(id="c", sentence="", said_by="a test", metric="val_loss", margin=0.1,
                effect={"a": 1, "b": -1}, why_margin="a test")]
"""


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_table_is_refused_in_one_line(judge: Command, tmp_path: Path, name: str):
    claims, runs = tmp_path / "claims.py", tmp_path / name
    claims.write_text(CLAIM)
    content = MALFORMED[name]
    runs.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, output, errors = judge(runs, claims)
    assert (status, output) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", errors)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CLAIMS = []", "has no CLAIMS = [Claim(...), ...]"),
        ("", "has no CLAIMS = [Claim(...), ...]"),
        ("CLAIMS = ['b is better']", "'b is better' in CLAIMS is no Claim(...)"),
        ("CLAIMS = [", "claims.py:1: '[' was never closed"),
        (CLAIM.replace("margin=0.1", "margin=0"), "claims.py:3: claim 'c': margin=0 cannot work"),
        ("import nothing_like_it", "claims.py:1: No module named 'nothing_like_it'"),
    ],
)
def test_a_file_of_claims_that_cannot_be_used_is_refused_in_one_line(
    judge: Command, tmp_path: Path, text: str, message: str
):
    file = tmp_path / "claims.py"
    file.write_text(text)
    status, _, errors = judge(RUNS, file)
    assert status == 2
    assert re.fullmatch(rf"error: [^\n]*{re.escape(message)}[^\n]*\n", errors)


def test_missing_files_and_arguments_are_refused_in_one_line(judge: Command, tmp_path: Path):
    assert "there is no file" in judge(tmp_path / "none.csv")[2]
    assert "there is no file" in judge(RUNS, tmp_path / "none.py")[2]
    assert "LOOKS=8,many must be numbers of seeds" in judge(RUNS, CLAIMS, "--looks", "8,many")[2]


def test_claims_prints_the_published_verdicts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    words = [
        "experiments",
        "claims",
        "--profile=cpu",
        "--reference",
        f"--results={ROOT / 'results'}",
    ]
    outputs = []
    for further in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*words, *further])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert not ended.value.code
        outputs.append(capsys.readouterr().out)
    published = pd.read_parquet(ROOT / "results" / "reference" / "cpu" / "claims.parquet")
    rows = json.loads(outputs[1])["claims"]
    assert [row["verdict"] for row in rows] == list(published["verdict"])
    assert [row["effect"] for row in rows] == [
        None if pd.isna(effect) else effect for effect in published["effect"]
    ]
    for row in rows:
        place = "" if row["budget"] is None else f" at budget {row['budget']:g}"
        assert f"{row['claim']}{place}: “{row['sentence']}” {row['verdict']}: " in outputs[0]


def test_the_page_is_written_where_it_is_asked_for_and_over_no_other_file(
    judge: Command, tmp_path: Path
):
    page = tmp_path / "page.html"
    assert judge(RUNS, CLAIMS, "--page", str(page))[0] == 0
    html = page.read_text()
    assert "Verdicts on runs.csv" in html
    assert f"<td>{sha256(RUNS.read_bytes())}</td>" in html
    table = tmp_path / "runs.csv"
    table.write_bytes(RUNS.read_bytes())
    status, _, errors = judge(table, CLAIMS, "--page", str(table))
    assert (status, "must end in .html" in errors) == (2, True)
    assert table.read_bytes() == RUNS.read_bytes()


def test_what_a_terminal_would_obey_is_written_out(judge: Command, tmp_path: Path):
    text = CLAIMS.read_text().replace("A wider network", "\\x1b[2JA \\u202ewider network")
    claims = tmp_path / "claims.py"
    claims.write_text(text.replace('id="wide"', 'id="wide\\x07"'))
    status, output, errors = judge(RUNS, claims)
    assert status == 0, errors
    assert r"wide\x07: “\x1b[2JA \u202ewider network has" in output
    assert not {"\x1b", "\u202e", "\x07"} & {*output}
    claims.write_text("raise ValueError('\\x1b[2J bad')")
    status, _, errors = judge(RUNS, claims)
    assert (status, r"\x1b[2J bad" in errors, "\x1b" in errors) == (2, True, False)
