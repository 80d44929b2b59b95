"""Exported tables hold what the parquet files hold, and no text that a spreadsheet would run."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from helping import ROOT

from experiments.cli.options import StudyOptions
from experiments.cli.report import export as command
from experiments.errors import UserError
from experiments.files import sha256
from experiments.records.collect import read_table, write_table
from experiments.records.export import export
from experiments.records.schema import COLUMNS

TYPES = {
    "string": "string",
    "int64": "integer",
    "double": "number",
    "bool": "boolean",
    "list<element: double>": "array",
}
REFERENCE = ROOT / "results" / "reference" / "cpu"
HOSTILE = (
    "=cmd|' /C calc'!A0",
    "@SUM(1,2)",
    "+1",
    "-1+2",
    "\t=1",
    "\r=1",
    "\r",
    "a\rb",
    'a "quoted", b\nsecond line',
    "<script>alert(1)</script>",
    "nul \x00 and \u202eright to left",
    "x" * 100_000,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    assert export(REFERENCE, folder) == len([*REFERENCE.glob("*.parquet")])
    return folder


def test_every_number_of_the_published_tables_is_in_the_csv_to_the_last_digit(exported: Path):
    for name in ("runs", "claims", "measures", "tuning"):
        table = read_table(REFERENCE, name)
        again = pd.read_csv(exported / f"{name}.csv")
        assert list(again) == list(table)
        numbers = table.select_dtypes("number").columns
        pd.testing.assert_frame_equal(
            again[numbers].astype(float), table[numbers].astype(float), check_exact=True
        )


def test_the_claims_as_json_are_those_of_the_table(exported: Path):
    content = json.loads((exported / "claims.json").read_text())
    table = read_table(REFERENCE, "claims")
    assert content["version"] == 1
    assert [row["claim"] for row in content["claims"]] == list(table["claim"])
    effects = [row["effect"] for row in content["claims"]]
    assert effects == [None if pd.isna(effect) else effect for effect in table["effect"]]


def test_the_package_describes_every_column_of_every_file(exported: Path):
    package = json.loads((exported / "datapackage.json").read_text())
    files = {file.name for file in exported.glob("*.csv")}
    assert {resource["path"] for resource in package["resources"]} == files
    for resource in package["resources"]:
        content = (exported / resource["path"]).read_bytes()
        assert resource["hash"] == f"sha256:{sha256(content)}"
        assert resource["bytes"] == len(content)
        head = next(csv.reader(content.decode().splitlines()))
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == head
        assert all(field["description"] for field in fields)
        columns = COLUMNS[resource["path"].removesuffix(".csv")]
        assert [field["type"] for field in fields] == [TYPES[str(kind)] for _, kind, _ in columns]


def test_a_text_that_a_spreadsheet_would_run_has_an_apostrophe_and_any_other_is_kept(
    tmp_path: Path,
):
    write_table(tmp_path, "samples", [{"run_id": "r", "kind": "k", "text": t} for t in HOSTILE])
    export(tmp_path, tmp_path / "out")
    with (tmp_path / "out" / "samples.csv").open(newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for before, after in zip(HOSTILE, texts, strict=True):
        assert after == (f"'{before}" if before[0] in "=+-@\t\r" else before)


def test_lists_are_json_and_whole_numbers_beside_nulls_have_no_point(tmp_path: Path):
    floats = [name for name, kind, _ in COLUMNS["atlas"] if str(kind).startswith("list")]
    row = dict.fromkeys([name for name, _, _ in COLUMNS["atlas"]])
    write_table(tmp_path, "atlas", [row | {floats[0]: [0.1, 2.0]}])
    write_table(tmp_path, "membership", [{"budget": 4}, {"budget": None}])
    export(tmp_path, tmp_path / "out")
    atlas = pd.read_csv(tmp_path / "out" / "atlas.csv")
    assert json.loads(atlas[floats[0]][0]) == [0.1, 2.0]
    assert (tmp_path / "out" / "membership.csv").read_text().splitlines()[1:] == [
        ",,4,,",
        ",,,,",
    ]


def test_a_folder_without_tables_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there are no tables"):
        export(tmp_path, tmp_path / "out")


def test_the_command_exports_the_published_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "reference").symlink_to(REFERENCE.parent)
    command(study=StudyOptions(profile="cpu", results=tmp_path), reference=True)
    place = tmp_path / "published" / "cpu" / "export"
    n = len([*REFERENCE.glob("*.parquet")])
    assert capsys.readouterr().out == f"exported {n} tables to {place}\n"
    assert (place / "datapackage.json").exists()
