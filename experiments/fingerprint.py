"""Which code made a run: a hash that changes when what decides its numbers does."""

import ast
import functools
from collections.abc import Iterator
from typing import Any

from experiments.files import ROOT, sha256

_BEGIN = (
    "experiments/training/loop.py",
    "experiments/probes/registry.py",
)  # what they import counts as well


@functools.cache
def code_fingerprint() -> str:
    """12 hexadecimal digits of the networks' and the training's code. Comments, docstrings, layout
    and the version of Python do not count.
    """
    return fingerprint_of({name: (ROOT / name).read_text() for name in sorted(_files())})


def fingerprint_of(sources: dict[str, str]) -> str:
    """The same of some sources, by name."""
    return sha256(
        repr([(name, _plain(ast.parse(text))) for name, text in sources.items()]).encode()
    )[:12]


@functools.cache
def fingerprint_of_own(module: str) -> str:
    """The same of a file with mechanisms of its own, without the ablation that it states, which
    decides no number of a run.
    """
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    tree.body = [node for node in tree.body if not _states_ablation(node)]
    return sha256(repr(_plain(tree)).encode())[:12]


def _states_ablation(node: ast.stmt) -> bool:
    names = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(name, ast.Name) and name.id == "ABLATION" for name in names)


def _files() -> set[str]:
    """The files that training is made of, by following imports within the project."""
    found: set[str] = set()
    waiting = list(_BEGIN)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(ast.parse((ROOT / name).read_text()))
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` as well as `from module import name`
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            place = name.replace(".", "/")
            for file in (f"{place}.py", f"{place}/__init__.py"):
                if (ROOT / file).exists():
                    yield file


def _plain(node: Any) -> Any:
    """A syntax tree as lists, without what is empty: newer versions of Python have more of that."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):  # None and "" are values here
        return ["Constant", repr(node.value)]
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
        fields["body"] = fields["body"][1:]
    kept = {name: value for name, value in fields.items() if value not in (None, [], "")}
    return [type(node).__name__, *((name, _plain(value)) for name, value in kept.items())]
