"""Fingerprints of code: hashes that change when the code that decides a run's numbers changes."""

import ast
import functools
from collections.abc import Iterator
from typing import Any

from experiments.files import ROOT, sha256

# A run's numbers are decided by the files of these rooms and by every file that they import.
_ROOMS = ("experiments/training", "experiments/probes")


@functools.cache
def code_fingerprint() -> str:
    """The fingerprint of the networks, the training and the probes: 12 hexadecimal digits.

    Comments, docstrings, layout and the version of Python do not change the fingerprint.
    """
    return fingerprint_of({name: (ROOT / name).read_text() for name in sorted(_files())})


def fingerprint_of(sources: dict[str, str]) -> str:
    """The fingerprint of source texts, given by file name."""
    return _fingerprint([(name, _plain(ast.parse(text))) for name, text in sources.items()])


@functools.cache
def mechanism_fingerprint(module: str) -> str:
    """The fingerprint of an ablation's module without its ABLATION, which changes no run."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    tree.body = [node for node in tree.body if not _assigns_ablation(node)]
    return _fingerprint(_plain(tree))


def _fingerprint(plain: Any) -> str:
    return sha256(repr(plain).encode())[:12]


def _assigns_ablation(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "ABLATION" for target in targets)


def _files() -> set[str]:
    """Paths of the rooms' files and of all files that they import, directly or not."""
    files: set[str] = set()
    to_visit = [
        str(path.relative_to(ROOT)) for room in _ROOMS for path in (ROOT / room).glob("*.py")
    ]
    while to_visit:
        name = to_visit.pop()
        if name not in files:
            files.add(name)
            to_visit += _imported(ast.parse((ROOT / name).read_text()))
    return files


def _imported(tree: ast.AST) -> Iterator[str]:
    """Paths of the project's files that a file imports."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # A name that is imported from a package may be a module of the package.
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            path = module.replace(".", "/")
            for file in (f"{path}.py", f"{path}/__init__.py"):
                if (ROOT / file).exists():
                    yield file


def _plain(node: Any) -> Any:
    """A syntax tree as nested lists, without docstrings and without empty fields.

    Newer versions of Python have more empty fields.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):  # None and "" are values here, not empty fields
        return ["Constant", repr(node.value)]
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    kept = {name: value for name, value in fields.items() if value not in (None, [], "")}
    return [type(node).__name__, *((name, _plain(value)) for name, value in kept.items())]
