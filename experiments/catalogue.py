"""The catalogue: all ablations, each in a file of `experiments/ablations` or the user's folder."""

import importlib
import os
import pkgutil
import traceback
from collections.abc import Iterable
from pathlib import Path

from experiments.ablation import Ablation
from experiments.errors import UserError
from model.config import nearest

FOLDER = Path(__file__).parent / "ablations"
VARIABLE = "ABLATIONS"  # names the user's folder, in this process and in those that it starts


def add_folder(folder: Path) -> None:
    """Let the files of a folder be ablations, beside the built-in ones.

    Raises:
        UserError: there is no such folder, or it has a file of the name of a built-in one.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    for file in {*folder.glob("*.py")} - {folder / "__init__.py"}:
        if (FOLDER / file.name).exists() and folder.resolve() != FOLDER:
            raise UserError(f"{file}: there is a built-in ablation of this name")
    os.environ[VARIABLE] = str(folder.resolve())
    package = importlib.import_module("experiments.ablations")
    if os.environ[VARIABLE] not in package.__path__:
        package.__path__ = [*package.__path__, os.environ[VARIABLE]]


def users_folder() -> Path | None:
    """The folder of the user's own ablations, if there is one."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def load_ablations() -> dict[str, Ablation]:
    """Import every file of `experiments/ablations` and of the user's folder, by name:
    `norm_kind.py` is "norm-kind".

    Raises:
        UserError: a file cannot be imported, has no ABLATION, has an ABLATION that contradicts
            itself, or has a claim or an own metric of another file. The message names the file, and
            the line if Python gives it.
    """
    package = importlib.import_module("experiments.ablations")
    ablations: dict[str, Ablation] = {}
    taken: dict[tuple[str, str], str] = {}
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
        measured = [metric for probe in ablation.own_probes for metric in probe.measured]
        for kind, ids in (("claim", [claim.id for claim in ablation.claims]), ("metric", measured)):
            for each in ids:
                first = taken.setdefault((kind, each), name)
                if first != name:
                    raise UserError(
                        f"{shown_path(name)}: {kind} '{each}' is in {shown_path(first)} already"
                    )
        ablations[name] = ablation
    return ablations


def file_of(name: str) -> Path:
    """The file of the ablation with this name. A new one is in the user's folder, if there is
    one.
    """
    built_in, own = FOLDER / f"{name.replace('-', '_')}.py", users_folder()
    return built_in if own is None or built_in.exists() else own / built_in.name


def shown_path(name: str) -> str:
    """The file of the ablation with this name, as messages show it: a built-in one from the
    checkout's root.
    """
    file = file_of(name)
    return f"experiments/ablations/{file.name}" if file.parent == FOLDER else str(file)


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
