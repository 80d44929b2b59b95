"""`new-ablation`: write the file of a new ablation, which can be run at once."""

import re
import tomllib
from pathlib import Path

from experiments.catalogue import check_known, file_of, load_ablations, users_folder
from experiments.cli.options import AblationKind, AblationName
from experiments.errors import UserError
from experiments.files import ROOT, write_atomically

_MAKEFILE = ROOT / "Makefile"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

_TEMPLATE = '''"""{title}: what is the question, in a line?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="{title}",
    # The question of the section on the page.
    question="What does dropout do to a network that sees hardly a passage twice?",
    # The variant that the others are compared with.
    baseline="none",
    # Each variant is a difference from the profile's base, in any field of ModelConfig
    # (model/config.py) or Recipe (experiments/spec.py). Several at once: vary(...), cross(...) and
    # without_each(...), see experiments/variant.py.
    variants=[
        Variant("none", {{"model.dropout": 0.0}}),
        Variant("a-tenth", {{"model.dropout": 0.1}}),
        # Each variant that a claim weighs has a learning rate of its own. To share another's:
        # Variant("a-fifth", {{"model.dropout": 0.2}}, tuned_for="a-tenth"),
    ],
    # Sentences from the literature, each with the rule that judges it. Write both before the runs.
    claims=[
        Claim(
            id="{name}",
            sentence="Dropout helps.",
            said_by="author, year and section",
            # The weight of each variant. A positive sum supports the sentence. A lower loss is
            # better, so the variant that is said to be worse has the weight 1.
            effect={{"none": 1, "a-tenth": -1}},
            # The smallest effect that matters, in the metric's unit, and the reason.
            margin=0.01,
            why_margin="a hundredth of a nat is the least that would decide what to use",
            # Gates. The claim is testable only where both networks beat a bigram. Other kinds of
            # gates: experiments/gates.py.
            requires=[Beats("none", "bigram"), Beats("a-tenth", "bigram")],
            # metric="val_accuracy",  # or another of METRICS (experiments/metrics.py)
            # published="the number in a paper, shown beside ours",
        ),
    ],
    # Measurements of the trained networks besides the loss: experiments/probes/registry.py.
    probes=["positions"],
    # Budgets to train at, as multiples of the profile's steps; by default the first alone.
    # budgets=[1, 4],
    # Two sentences that say what is expected and why, and a formula for it in LaTeX.
    why="A unit that may be missing cannot be relied on, so dropout spreads what is learnt.",
    equation=r"y = \\frac{{m \\odot x}}{{1 - p}}",
    # Limits of the comparison, shown at the end of the section.
    limits="One dropout rate, and a training in which no passage comes twice.",
)
'''


# The file of a kind. An entry of kinds.toml may have any of these parts; `_USUAL` has the others.
_OWN_TEMPLATE = '''"""{title}: what is the question, in a line?"""

from experiments.ablation import Ablation, {gate}, Claim, {imports}


{code}


ABLATION = Ablation(
    title="{title}",
    question="Does {what} do better than what the base has?",
    baseline="base",
    variants=[
        Variant("base", {{{base}}}),
        Variant("mine", {{{mine}}}),
    ],
    # Sentences with the rule that judges each. Write both before the runs.
    claims=[
        Claim(
            id="{name}",
            sentence="{sentence}",
            said_by="author, year and section",
            # A positive sum supports the sentence, and a lower {metric_word} is better.
            effect={{"base": 1, "mine": -1}},
            metric="{metric}",
            margin=0.01,
            why_margin="a hundredth of a nat is the least that would decide what to use",
            # The claim is testable only where these hold: experiments/gates.py.
            requires=[{gate}("base"{bound}), {gate}("mine"{bound})],
        ),
    ],{probes}
    why="Two sentences that say what is expected and why.",
    limits="What this comparison cannot show.",
)
'''
_USUAL = {
    "imports": "Variant, custom",
    "base": "",
    "mine": '"{field}": custom(mine)',
    "sentence": "It lowers the loss.",
    "metric": "val_loss_per_character",
    "metric_word": "loss",
    "gate": "Beats",
    "bound": ', "bigram"',
    "probes": "",
}


def new_ablation(name: AblationName = "", /, kind: AblationKind = "") -> None:
    """Write the file of a new ablation called NAME. It has comments, and can be run at once.

    With a KIND, such as attention or optimizer, the file brings a part of its own of that kind.
    """
    file = write_new(name, kind)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    target = file.stem.replace("_", "-")
    print(f"wrote {shown}")
    train = f"make {target} PROFILE=smoke"
    if not _MAKEFILE.exists():  # an installed copy
        train = f"transformer-ablations run {target} --profile smoke --ablations {shown.parent}"
    elif users_folder():
        train += f" ABLATIONS={shown.parent}"
    print(f"train it with `{train}`: results/smoke/report.html has its section")


def write_new(name: str, kind: str = "") -> Path:
    """Write the file of a new ablation, and return its path.

    Raises:
        UserError: the name cannot be the name of a file, a module and a target of make at once, or
            there is no such kind.
    """
    if not _NAME.fullmatch(name):
        subject = f"NAME={name!r}" if name else "NAME is missing, and"
        raise UserError(f"{subject} must be words of a to z and 0 to 9 with a dash between them")
    kinds = tomllib.loads((Path(__file__).parent / "kinds.toml").read_text("utf-8"))
    if kind:
        check_known("kind", [kind], kinds)
    name = name.replace("_", "-")
    file = file_of(name)
    if file.exists():
        raise UserError(f"there is an ablation '{name}' already: {file}")
    if name in {claim.id for ablation in load_ablations().values() for claim in ablation.claims}:
        raise UserError(f"'{name}' is the name of a claim already: choose another name")
    if name in _targets():
        raise UserError(f"'{name}' is a target of make already: choose another name")
    title = name.replace("-", " ").capitalize()
    text = _own_text(name, title, kinds[kind]) if kind else _TEMPLATE.format(name=name, title=title)
    write_atomically(file, text.encode())
    return file


def _own_text(name: str, title: str, kind: dict[str, str]) -> str:
    """The file of an ablation that brings a part of its own."""
    parts = _USUAL | kind | {"code": kind["code"].strip()}
    parts["mine"] = parts["mine"].replace("{field}", kind.get("field", ""))
    if "field" not in kind:  # metrics are called after the function of a probe
        named = ("code", "metric", "probes")
        function = name.replace("-", "_")
        parts |= {part: parts[part].replace("{function}", function) for part in named}
    return _OWN_TEMPLATE.format(name=name, title=title, **parts)


def _targets() -> set[str]:
    """Targets of the Makefile."""
    text = _MAKEFILE.read_text() if _MAKEFILE.exists() else ""
    return set(re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE))
