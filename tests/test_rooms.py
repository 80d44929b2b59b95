"""Rooms: which room may import which, how many files a room may hold, and no cycles."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest
from helping import ROOT

MODEL = {"model", "model.networks"}
BELOW_TRAINING = {"experiments", "experiments.planning", "experiments.data"} | MODEL
BELOW_RUNNING = {"experiments.training", "experiments.records", "experiments.probes"}
BELOW_RUNNING |= BELOW_TRAINING
BELOW_REPORT = {"model", "experiments", "experiments.planning", "experiments.records"}
BELOW_PAGE = BELOW_REPORT | {"report", "report.verdicts", "report.study"}
# The rooms that each room may import, besides itself.
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "model.networks": {"model"},
    "experiments": {"model"},
    # A part of its own imports what its built-in siblings do.
    "experiments.ablations": {"experiments", "experiments.training"} | MODEL,
    "experiments.planning": {"experiments", "model"},
    "experiments.data": {"experiments", "model"},
    "experiments.training": BELOW_TRAINING,
    "experiments.records": {"experiments", "experiments.planning", "experiments.data", "model"},
    "experiments.probes": BELOW_TRAINING | {"experiments.training", "experiments.records"},
    "experiments.running": BELOW_RUNNING,
    "experiments.theory": {"experiments", "experiments.records"} | MODEL,
    "experiments.benchmarks": BELOW_RUNNING | {"experiments.running"},
    "report": {"experiments"},
    "report.verdicts": {"experiments"},
    "report.adapters": set(),
    "report.study": BELOW_REPORT | {"report.verdicts"},
    "report.figures": BELOW_PAGE,
    "report.page": BELOW_PAGE | {"report.figures"},
    "report.paper": BELOW_PAGE | {"report.figures", "report.page"},
    "report.output": BELOW_PAGE | {"report.figures", "report.page"},
}
ALLOWED["experiments.cli"] = {*ALLOWED}
# Files that only pass a call on to a room: the public face of a package, and `python -m`.
FACES = {
    "model": {"model.networks"},
    "experiments.__main__": {"experiments.cli"},
    "report.__main__": {"experiments", "report.output"},
}
MOST_FILES = 14
CATALOGUES = {"experiments.ablations"}  # one file per ablation, however many there are

FILES = [file for top in ("model", "experiments", "report") for file in ROOT.glob(f"{top}/**/*.py")]
FILES = [file for file in FILES if "notebooks" not in file.parts]


def module_of(file: Path) -> str:
    """Dotted name of a file."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def room_of(module: str) -> str:
    """The longest room whose name begins the module's name."""
    rooms = [room for room in ALLOWED if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len)


def imported(tree: ast.AST) -> set[str]:
    """Modules of this project that a file imports, anywhere in it, or starts with `python -m`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.List):
            words = node.elts
            for i, word in enumerate(words[:-1]):
                if isinstance(word, ast.Constant) and word.value == "-m":
                    program = words[i + 1]
                    assert isinstance(program, ast.Constant), "`-m` takes a literal module name"
                    names.add(program.value)
    packages = {name for name in names if any(n.startswith(f"{name}.") for n in names & {*MODULES})}
    return {name for name in names & {*MODULES} if name not in packages}


IMPORTS = {
    module: imported(ast.parse(file.read_text())) - {module} for module, file in MODULES.items()
}


def test_rooms_import_only_the_rooms_below_them():
    wrong = []
    for module, names in IMPORTS.items():
        room = room_of(module)
        allowed = ALLOWED[room] | FACES.get(module, set()) | {room}
        wrong += [f"{module} -> {name}" for name in names if room_of(name) not in allowed]
    assert wrong == []


def test_rooms_form_no_cycle():
    graphlib.TopologicalSorter(ALLOWED).prepare()


def test_a_wrong_arrow_is_detected():
    tree = ast.parse(
        "def f():\n    run([python, '-m', 'report.__main__'])\n    import model.config"
    )
    assert imported(tree) == {"report.__main__", "model.config"}


def test_files_form_no_import_cycle():
    assert sum(map(len, IMPORTS.values())) > len(FILES)  # imports were followed
    try:
        graphlib.TopologicalSorter(IMPORTS).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


def test_a_room_has_at_most_14_files():
    sizes = dict.fromkeys(ALLOWED, 0)
    for file in FILES:
        sizes[room_of(module_of(file))] += 1
    assert {room: n for room, n in sizes.items() if n > MOST_FILES and room not in CATALOGUES} == {}


def test_readme_names_every_file_of_the_rooms():
    readme = (ROOT / "README.md").read_text()
    quiet = {"__init__.py", "__main__.py"}
    files = [file for file in FILES if file.name not in quiet and "ablations" not in file.parts]
    assert [str(file.relative_to(ROOT)) for file in files if f"{file.name}" not in readme] == []


def test_ablation_files_import_only_what_states_an_ablation():
    for file in (ROOT / "experiments" / "ablations").glob("*.py"):
        body = ast.Module(ast.parse(file.read_text()).body, [])
        at_import = {
            node.module for node in body.body if isinstance(node, ast.ImportFrom) and node.module
        }
        assert at_import <= {"experiments.ablation", "typing"}, file


def test_verdicts_need_nothing_of_ours_but_the_claim():
    """So that they judge anybody's runs."""
    ours = {"experiments.claim", "experiments.gates", "report.verdicts"}
    others = {"numpy", "pandas", "scipy", "statsmodels"}
    for file in (ROOT / "report" / "verdicts").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                room = ".".join(name.split(".")[:2])
                assert top in others | sys.stdlib_module_names or room in ours, (file, name)


def test_report_never_imports_torch():
    for file in (ROOT / "report").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert "torch" not in {name.partition(".")[0] for name in names}, file


@pytest.mark.parametrize(
    "modules",
    [
        ["experiments.cli.main", "experiments.records.collect", "experiments.running.runner"],
        [name for name in MODULES if name.startswith("report.") and "__main__" not in name],
    ],
    ids=["planning", "reporting"],
)
def test_planning_and_reporting_do_not_load_torch(modules: list[str]):
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
