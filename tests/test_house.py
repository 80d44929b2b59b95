"""Which room may import which, what each room never loads, and what every file is held to."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helping import ROOT

ALLOWED = {
    "model": {"model"},
    "experiments": {"model", "experiments"},
    "report": {"experiments", "report"},
}
MOST_LINES = 310
FILES = [file for room in ALLOWED for file in sorted((ROOT / room).rglob("*.py"))]
TREES = {file: ast.parse(file.read_text()) for file in FILES}


def module_of(file: Path) -> str:
    """Its name for whoever imports it."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file) for file in FILES}


def imports(file: Path, *, at_once: bool = False) -> set[str]:
    """The modules that a file imports, wherever in the file; or those that it imports at once."""
    tree = TREES[file]
    found = set()
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import, which is not followed here"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & MODULES
            found |= modules if modules == inner else modules | {node.module}
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_run_one_way(room: str):
    for file in (ROOT / room).rglob("*.py"):
        rooms = {name.partition(".")[0] for name in imports(file)} & set(ALLOWED)
        assert rooms <= ALLOWED[room], file


def test_no_import_leads_back_to_where_it_is():
    """Nor one that is put off until a function is called: of two such modules none can be read
    without the other.
    """
    graph = {module_of(file): imports(file) & MODULES - {module_of(file)} for file in FILES}
    assert sum(map(len, graph.values())) > len(FILES)  # else nothing was followed
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


def test_ablation_files_import_nothing_but_what_states_an_ablation():
    for file in (ROOT / "experiments" / "ablations").glob("*.py"):
        assert imports(file, at_once=True) <= {"experiments.ablation", "typing"}, file


@pytest.mark.parametrize(
    "modules",
    [
        ["experiments.cli.main", "experiments.records.collect"],
        [module_of(file) for file in (ROOT / "report").glob("*.py")],
    ],
    ids=["planning", "reporting"],
)
def test_planning_and_reporting_never_load_torch(modules: list[str]):
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_no_part_of_the_report_asks_for_torch():
    """Not even in a function, nor in a notebook."""
    for file in (ROOT / "report").rglob("*.py"):
        assert "torch" not in {name.partition(".")[0] for name in imports(file)}, file


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions and classes without a docstring, and methods that say nothing of themselves
    and that no class of the file, a base or a protocol, says anything of.
    """
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [node for node in tree.body if isinstance(node, kinds)]
    methods = [
        (owner, node)
        for owner in top
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, kinds)
    ]
    said = {node.name for _, node in methods if ast.get_docstring(node)}
    for node in top:
        if not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.name
    for owner, node in methods:
        private = owner.name.startswith("_") or node.name.startswith("_")
        if not private and node.name not in said:
            yield f"{owner.name}.{node.name}"


def test_whatever_is_public_says_what_it_is():
    assert [f"{file}: {name}" for file in FILES for name in undocumented(TREES[file])] == []
    planted = "class A:\n '''A.'''\n def f(self): ...\n def _g(self): ...\ndef h(): ...\n"
    assert list(undocumented(ast.parse(planted))) == ["h", "A.f"]


def test_no_file_is_too_long_to_read_at_once():
    tests = (ROOT / "tests").rglob("*.py")
    lines = {file: len(file.read_text().splitlines()) for file in [*FILES, *tests]}
    assert {str(file): n for file, n in lines.items() if n > MOST_LINES} == {}
