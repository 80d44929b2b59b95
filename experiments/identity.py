"""Identity of a run: the values that it leaves out, and hashes of code.

A new field, or a new default of an old one, changes no run id. The hash of code changes when the
code that decides a run's numbers changes.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.files import ROOT, sha256
from model.config import nearest

# Values that an identity leaves out: the defaults of the time when each field was added. So a new
# field changes the id of no run that does not use the field, and a default that changes later
# changes no id either: the new default is written out. Fields without a default have no entry.
LEFT_OUT: dict[str, dict[str, Any]] = {
    "model": {
        "family": "decoder",
        "position": "rope",
        "norm": "layernorm",
        "norm_placement": "pre",
        "residual": True,
        "activation": "gelu",
        "attention": "auto",
        "self_attention": "multi_head",
        "branch_gain": "none",
        "qk_norm": False,
        "window": None,
        "sinks": False,
        "score_cap": None,
        "logit_cap": None,
        "rope_share": 1.0,
        "sublayer": "standard",
        "attention_scale": True,
        "masking": "before_softmax",
        "initialisation": "gpt2",
        "embedding_scale": False,
        "tie_embeddings": True,
        "dropout": 0.0,
        "bias": True,
        "n_classes": None,
        "mlp_window": 8,
        "bigram_smoothing": 1.0,
        # n_kv_heads is left out where it equals n_heads.
    },
    "recipe": {
        "task": "language",
        "precision": "fp32",
        "compiled": False,
        "final_learning_rate_ratio": 0.1,
        "schedule": "cosine",
        "loss": "cross_entropy",
        "label_smoothing": 0.0,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.99,
        "epsilon": 1e-8,
        "gradient_clip": 1.0,
        "log_every": 10,
    },
}


def without(values: dict[str, Any], left_out: dict[str, Any]) -> dict[str, Any]:
    """The values that differ from those of `left_out`."""
    return {
        name: value
        for name, value in values.items()
        if name not in left_out or value != left_out[name]
    }


_CUSTOM = "experiments.ablations."  # the only package that functions of one's own are imported from

# A run's numbers are decided by the files of these rooms and by every file that they import.
_ROOMS = ("experiments/training", "experiments/probes")
_PACKAGES = ("model", "experiments", "report")


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
    found = importlib.util.find_spec(module)
    assert found is not None  # a module that was imported
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text())
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
            if module.partition(".")[0] not in _PACKAGES:
                continue  # an installed copy lies beside all other packages
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


def check_custom(field: str, reference: str) -> None:
    """Refuse a custom mechanism that does not exist or is not in an ablation's file.

    A spec may come from anywhere, and must not be able to call other code.
    """
    module, _, function = reference.partition(":")
    if not module.startswith(_CUSTOM):
        raise ValueError(f"{field}={reference!r} cannot work: it must be a function of an ablation")
    try:
        content = importlib.import_module(module)
    except ImportError:
        raise ValueError(f"{field}={reference!r} cannot work: there is no such file") from None
    if not callable(getattr(content, function, None)):
        hint = nearest(function, dir(content))
        raise ValueError(f"{field}={reference!r} cannot work: its file has no '{function}'{hint}")
