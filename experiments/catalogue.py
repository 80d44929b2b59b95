"""The catalogue: all ablations, each in a file of `experiments/ablations`."""

import importlib
import pkgutil
import traceback
from collections.abc import Iterable
from pathlib import Path

from experiments.ablation import Ablation
from experiments.errors import UserError
from model.config import nearest

FOLDER = Path(__file__).parent / "ablations"


def load_ablations() -> dict[str, Ablation]:
    """Import every file of `experiments/ablations`, by name: `norm_kind.py` is "norm-kind".

    Raises:
        UserError: a file cannot be imported, has no ABLATION, has an ABLATION that contradicts
            itself, or has a claim of another file. The message names the file, and the line if
            Python gives it.
    """
    package = importlib.import_module("experiments.ablations")
    ablations: dict[str, Ablation] = {}
    claims: dict[str, str] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        name = module.replace("_", "-")
        try:
            content = vars(importlib.import_module(f"experiments.ablations.{module}"))
        except Exception as error:
            raise UserError(why_not_loaded(file_of(name), shown_path(name), error)) from None
        if "ABLATION" not in content:
            raise UserError(f"{shown_path(name)}: it has no ABLATION")
        ablation = content["ABLATION"]
        if not isinstance(ablation, Ablation):
            raise UserError(f"{shown_path(name)}: ABLATION is not an Ablation(...)")
        for claim in ablation.claims:
            first = claims.setdefault(claim.id, name)
            if first != name:
                raise UserError(
                    f"{shown_path(name)}: claim '{claim.id}' is in {shown_path(first)} already"
                )
        ablations[name] = ablation
    return ablations


def file_of(name: str) -> Path:
    """The file of the ablation with this name."""
    return FOLDER / f"{name.replace('-', '_')}.py"


def shown_path(name: str) -> str:
    """The file of the ablation with this name, as messages show it: from the checkout's root."""
    return f"experiments/ablations/{file_of(name).name}"


def why_not_loaded(file: Path, shown: str, error: Exception) -> str:
    """The error of a Python file in one line, with the line of the file in which it happened.

    Args:
        file: the file that was executed.
        shown: its name in the message.
        error: what was raised.
    """
    message = str(error)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    if isinstance(error, SyntaxError) and error.filename == str(file):
        lines, message = [error.lineno], error.msg
    return f"{shown}:{lines[-1]}: {message}" if lines else f"{shown}: {message}"


def check_known(kind: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Refuse values that are not known.

    Raises:
        UserError: naming the value, the nearest known one and all known ones.
    """
    known = list(known)
    for value in values:
        if value not in known:
            hint = nearest(value, known) or ","
            raise UserError(f"unknown {kind} '{value}'{hint} there are {', '.join(known)}")
