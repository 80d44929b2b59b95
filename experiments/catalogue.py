"""All ablations that there are, and what is wrong with the file of one, told where it stands."""

import ast
import dataclasses
import importlib
import pkgutil
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from experiments import ablation as language
from experiments.ablation import (
    Ablation,
    Claim,
    Variant,
)
from experiments.errors import UserError
from experiments.metrics import COST_METRICS, COSTS, IDENTITIES, METRICS
from experiments.spec import Probe
from model.config import nearest

FOLDER = Path(__file__).parent / "ablations"


def load_ablations() -> dict[str, Ablation]:
    """Every file of `experiments/ablations`, by name: `heads.py` is "heads".

    Raises:
        UserError: a file cannot be imported, states no ABLATION, or contradicts itself; all that is
            wrong with it, each with its line.
    """
    package = importlib.import_module("experiments.ablations")
    ablations: dict[str, Ablation] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        name = module.name.replace("_", "-")
        try:
            stated = importlib.import_module(f"experiments.ablations.{module.name}").ABLATION
        except Exception as error:
            raise UserError(_unreadable(name, error)) from None
        if not isinstance(stated, Ablation):
            raise UserError(f"{located(name, '', 'ABLATION')}ABLATION is no Ablation(...)")
        if wrong := list(mistakes(name, stated)):
            raise UserError("; ".join(wrong))
        ablations[name] = stated
    claims = [claim.id for ablation in ablations.values() for claim in ablation.claims]
    for twice in {claim for claim in claims if claims.count(claim) > 1}:
        homes = [name for name, a in ablations.items() if twice in {c.id for c in a.claims}]
        at = located(homes[-1], twice, twice)
        raise UserError(f"{at}claim '{twice}' stands elsewhere too: a claim has one home")
    return ablations


def mistakes(name: str, ablation: Ablation) -> Iterator[str]:
    """What an ablation says that cannot be, in one line each, with the place in its file."""
    for what, kind, those in (
        ("variants", Variant, ablation.variants),
        ("claims", Claim, ablation.claims),
    ):
        for one in those:
            if not isinstance(one, kind):
                said = f"{one!r:.40} is no {kind.__name__}"
                if isinstance(one, list):
                    said = (
                        f"a list stands in place of a {kind.__name__}: a star before it spreads it"
                    )
                yield f"{located(name, '', what)}{what}: {said}"
                return
    for variant in ablation.variants:
        if not isinstance(variant.changes, Mapping):
            at = located(name, variant.name, variant.name)
            yield f"{at}the changes of variant '{variant.name}' are no {{'model.field': value}}"
            return
    variants = [variant.name for variant in ablation.variants]
    for twice in sorted({variant for variant in variants if variants.count(variant) > 1}):
        yield f"{located(name, twice, twice)}two variants are called '{twice}'"
    yield from _unknown(name, "", "baseline", [ablation.baseline], variants)
    for variant in ablation.variants:
        if variant.tuned_for:
            yield from _unknown(name, variant.name, "tuned_for", [variant.tuned_for], variants)
    yield from _unknown(name, "", "probes", ablation.probes, get_args(Probe))
    for claim in ablation.claims:
        yield from _mistakes_of_claim(name, claim, variants)


def _mistakes_of_claim(name: str, claim: Claim, variants: Sequence[str]) -> Iterator[str]:
    if claim.check:
        yield from _unknown(name, claim.id, "check", [claim.check], IDENTITIES)
    yield from _unknown(name, claim.id, "metric", [claim.metric], [*METRICS, *COST_METRICS])
    weighed = COSTS if claim.metric in COST_METRICS else variants
    yield from _unknown(name, claim.id, "effect", list(claim.effect), weighed)
    here = located(name, claim.id, claim.id)
    for what, number in {
        "margin": claim.margin,
        "threshold": claim.threshold,
        **claim.effect,
    }.items():
        if type(number) not in (int, float):
            at = located(name, claim.id, what)
            yield f"{at}'{claim.id}': {what} is {number!r}, and no number"
    if bool(claim.check) == bool(claim.effect) or (claim.effect and not claim.why_margin):
        yield f"{here}claim '{claim.id}' needs a check, or an effect with margin and why_margin"
    if claim.equal and claim.no_worse:
        yield f"{here}claim '{claim.id}' is equal, or no_worse: not both"


def _unknown(
    name: str, owner: str, field: str, said: Sequence[str], allowed: Sequence[str]
) -> Iterator[str]:
    for word in said:
        if word not in allowed:
            hint = nearest(word, allowed) or f": there are {', '.join(allowed)}"
            of = f" of '{owner}'" if owner else ""
            yield f"{located(name, owner, word)}{field}{of}: there is no '{word}'{hint}"


def located(name: str, owner: str, *words: str) -> str:
    """ "experiments/ablations/heads.py:12: ", the line where the first of these words stands as a
    string or a name, if it can be in the call that makes the variant or claim `owner`; without the
    line where none does, as in a name that is put together.
    """
    file = file_of(name)
    return _at(file, _line(file, owner, words) if file.exists() else 0)


def file_of(name: str) -> Path:
    """Where the ablation of this name is stated."""
    return FOLDER / f"{name.replace('-', '_')}.py"


def _at(file: Path, line: int) -> str:
    return f"{FOLDER.parent.name}/{FOLDER.name}/{file.name}:{f'{line}:' if line else ''} "


def _line(file: Path, owner: str, words: Sequence[str]) -> int:
    def says(tree: ast.AST, word: str) -> int:
        for node in ast.walk(tree):
            said = node.value if isinstance(node, ast.Constant) else None
            if word in (said, getattr(node, "id", None), getattr(node, "arg", None)):
                return int(node.lineno)  # type: ignore[attr-defined]
        return 0

    tree = ast.parse(file.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and owner]
    within = [call for call in calls if _names(call, owner)]
    return next((line for w in words for t in [*within, tree] if (line := says(t, w))), 0)


def _names(call: ast.Call, owner: str) -> bool:
    said = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "id")]
    return any(isinstance(node, ast.Constant) and node.value == owner for node in said)


def _unreadable(name: str, error: Exception) -> str:
    """Why a file cannot be imported, and at which of its lines."""
    file = file_of(name)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == file]
    line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else 0
    said = error.msg if isinstance(error, SyntaxError) else f"{error}"
    if isinstance(error, AttributeError) and not frames:
        said = "it states no ABLATION"
    return f"{_at(file, line or 0)}{said}{_meant(said)}"


def _meant(said: str) -> str:
    """The nearest name of our language to one that it has not."""
    if found := re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", said):
        kinds = {kind.__name__: kind for kind in (Ablation, Claim, Variant)}
        if kind := kinds.get(found[1]):
            fields = [field.name for field in dataclasses.fields(kind)]
            return nearest(found[2], fields) or f": there are {', '.join(fields)}"
    if found := re.search(r"cannot import name '(\w+)'|name '(\w+)' is not defined", said):
        if found[2] in dir(language):
            return ": import it from experiments.ablation"
        return nearest(found[1] or found[2], dir(language))
    return ""
