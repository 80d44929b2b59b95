"""What every file is held to: docstrings and length."""

import ast
from collections.abc import Iterator

from helping import ROOT

MOST_LINES = 310
FILES = [file for top in ("model", "experiments", "report") for file in (ROOT / top).rglob("*.py")]
TREES = {file: ast.parse(file.read_text()) for file in FILES}


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring.

    A method counts as documented if any class of the file documents a method of that name: a base
    class or a protocol.
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
    documented = {node.name for _, node in methods if ast.get_docstring(node)}
    for node in top:
        if not node.name.startswith("_") and not ast.get_docstring(node):
            yield node.name
    for owner, node in methods:
        private = owner.name.startswith("_") or node.name.startswith("_")
        if not private and node.name not in documented:
            yield f"{owner.name}.{node.name}"


def test_public_names_have_docstrings():
    assert [f"{file}: {name}" for file in FILES for name in undocumented(TREES[file])] == []
    planted = "class A:\n '''A.'''\n def f(self): ...\n def _g(self): ...\ndef h(): ...\n"
    assert list(undocumented(ast.parse(planted))) == ["h", "A.f"]


def test_no_file_is_longer_than_310_lines():
    tests = (ROOT / "tests").rglob("*.py")
    lines = {file: len(file.read_text().splitlines()) for file in [*FILES, *tests]}
    assert {str(file): n for file, n in lines.items() if n > MOST_LINES} == {}
