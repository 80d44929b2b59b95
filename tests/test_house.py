"""Which room may import which, and what each room never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "model": {"model"},
    "experiments": {"model", "experiments"},
    "report": {"experiments", "report"},
}


def imports(file: Path, *, at_once: bool = False) -> set[str]:
    """The names that a file imports, wherever in the file; or those that it imports at once."""
    tree = ast.parse(file.read_text())
    found = set()
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_one_way(room: str):
    for file in (ROOT / room).rglob("*.py"):
        rooms = {name.partition(".")[0] for name in imports(file)} & set(ALLOWED)
        assert rooms <= ALLOWED[room], file


def test_ablation_files_import_nothing_but_what_states_an_ablation():
    for file in (ROOT / "experiments" / "ablations").glob("*.py"):
        assert imports(file, at_once=True) <= {"experiments.ablation", "typing"}, file


@pytest.mark.parametrize(
    "modules",
    [
        "experiments.__main__, experiments.collect",
        "report.page, report.figures, report.atlas, report.made, report.picture, report.verdict",
    ],
)
def test_planning_and_reporting_never_load_torch(modules: str):
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
