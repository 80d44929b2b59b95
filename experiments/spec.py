"""A run: everything that decides its numbers, and the hash that names it."""

import dataclasses
import functools
import hashlib
import importlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from experiments.fingerprint import fingerprint_of_own
from model import ModelConfig
from model.accounting import flops_per_token
from model.config import nearest

Precision = Literal["fp32", "bf16"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "inverse_sqrt", "constant"]

Task = Literal["language", "masked", "continuation", "genre", "reverse", "sort", "repeat"]

Probe = Literal["positions", "lengths", "heads", "pruning", "layers", "samples", "atlas"]

GENRES = ("comedy", "history", "tragedy")
SYMBOLS = 24  # that random sequences are made of
OWN_MODULES = "experiments.ablations."  # where mechanisms of one's own are
TUNING_SEED = 1000  # tries learning rates, and is in no comparison: seeds of those are lower

# The families that a task can train. An encoder that had to predict the next token would be shown
# it; only an encoder-decoder takes a source apart from its target.
FAMILIES: dict[Task, tuple[str, ...]] = {
    "language": ("decoder", "lstm", "mlp", "bigram"),
    "masked": ("encoder",),
    "continuation": ("decoder", "encoder_decoder", "lstm"),
    "genre": ("encoder", "decoder"),
    "reverse": ("encoder", "decoder", "encoder_decoder", "lstm"),
    "sort": ("encoder", "decoder", "encoder_decoder", "lstm"),
    "repeat": ("decoder", "lstm"),
}
_CHOICES = {
    "task": get_args(Task),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}

_COUNTS = ("steps", "batch_size", "log_every", "eval_every", "eval_windows", "final_eval_windows")
_RATES = ("learning_rate", "gradient_clip", "epsilon")
_FRACTIONS = ("final_learning_rate_ratio", "beta1", "beta2", "label_smoothing")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a network is trained on and how: an optimiser of the Adam kind, linear warm-up and a
    schedule, gradient clipping. The bigram is counted from the same batches instead.

    A window is `context_length` tokens, or another task's example; `eval_windows` of them are read
    at every evaluation and, of the training split, at the end; `final_eval_windows` of the others
    at the end; always the same ones.

    Raises:
        ValueError: a value cannot work; the message names the field, the value and what is allowed.
    """

    task: Task = "language"
    precision: Precision = "fp32"
    compiled: bool = False
    steps: int
    batch_size: int
    learning_rate: float
    final_learning_rate_ratio: float = 0.1
    warmup_steps: int
    schedule: Schedule = "cosine"
    label_smoothing: float = 0.0
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    gradient_clip: float = 1.0
    log_every: int = 10
    eval_every: int
    eval_windows: int
    final_eval_windows: int

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            allowed = "one of " + ", ".join(choices)
            self._require(name, str, lambda v, choices=choices: v in choices, allowed)
        for name in _COUNTS:
            self._require(name, int, lambda v: v >= 1, "a whole number of at least 1")
        self._require(
            "warmup_steps", int, lambda v: 0 <= v <= self.steps, f"from 0 to steps={self.steps}"
        )
        for name in _RATES:
            self._require(name, float, lambda v: 0 < v < math.inf, "a number above 0")
        self._require("compiled", bool, lambda v: True, "true or false")
        self._require("weight_decay", float, lambda v: 0 <= v < math.inf, "a number of at least 0")
        for name in _FRACTIONS:
            self._require(
                name, float, lambda v: 0 <= v < 1, "a number from 0 up to, not including, 1"
            )

        for name in (*_RATES, *_FRACTIONS, "weight_decay"):
            # the same number is the same run, however it was written
            object.__setattr__(self, name, float(getattr(self, name)))

    def relevant(self, family: str) -> dict[str, Any]:
        """The fields that a run of a network of this family reads, by name."""
        unread: set[str] = set()
        if self.schedule != "cosine":
            unread |= {"final_learning_rate_ratio"}
        if family == "bigram":  # counted: nothing is optimised
            unread |= {"compiled", "optimizer", "schedule", "warmup_steps", *_FRACTIONS, *_RATES}
            unread = (unread | {"weight_decay"}) - {"label_smoothing"}
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in unread}

    def final_windows(self, split: str) -> int:
        """How many windows of a split are read at the end: of the training split, whose loss is
        there for comparison only, fewer will do.
        """
        return self.eval_windows if split == "train" else self.final_eval_windows

    def _require(self, name: str, kind: type, fits: Any, allowed: str) -> None:
        value = getattr(self, name)
        accepted = (int, float) if kind is float else (kind,)
        if type(value) not in accepted or not fits(value):
            raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}")


def _module(reference: str) -> str:
    return reference.partition(":")[0]


def _check_own(field: str, reference: str) -> None:
    """That the mechanism is there; and in a file of an ablation, so that no spec that somebody
    wrote can have us call anything else.
    """
    module, _, function = reference.partition(":")
    if not module.startswith(OWN_MODULES):
        raise ValueError(f"{field}={reference!r} cannot work: it must be a function of an ablation")
    try:
        found = importlib.import_module(module)
    except ImportError:
        raise ValueError(f"{field}={reference!r} cannot work: there is no such file") from None
    if not callable(getattr(found, function, None)):
        hint = nearest(function, dir(found))
        raise ValueError(f"{field}={reference!r} cannot work: its file has no '{function}'{hint}")


def fields_for(task: Task, corpus_vocabulary: int) -> dict[str, Any]:
    """The model fields that a task decides, given the number of tokens of the corpus: one id
    more for the token that hides another or stands for the class, or that starts an answer.
    """
    if task in ("language", "continuation"):
        return {"vocab_size": corpus_vocabulary}
    if task == "masked":
        return {"vocab_size": corpus_vocabulary + 1}
    if task == "genre":
        return {"vocab_size": corpus_vocabulary + 1, "n_classes": len(GENRES)}
    return {"vocab_size": SYMBOLS + 1}


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training: a network, a recipe, a corpus (by content hash) and a seed; and what is to be
    looked at besides, which changes none of its numbers.
    """

    model: ModelConfig
    recipe: Recipe
    corpus: str
    seed: int
    probes: tuple[Probe, ...] = ()

    def __post_init__(self) -> None:
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(
                f"seed={self.seed!r} cannot work: it must be a whole number, 0 or more"
            )
        for field, reference in self.model.custom.items():
            _check_own(field, reference)
        task = self.recipe.task
        if self.model.family not in FAMILIES[task]:
            raise ValueError(
                f"family={self.model.family!r} cannot work: the task '{task}' is for "
                + ", ".join(FAMILIES[task])
            )
        if self.probes and task != "language":
            raise ValueError(
                f"probes={self.probes!r} cannot work: they are for the task 'language'"
            )

    def identity(self) -> dict[str, Any]:
        """What decides the run's numbers, as plain values: what `run_id` hashes.

        Fields that this network and its training do not read are left out. A mechanism that is
        none of ours comes with the fingerprint of its code: edited, it makes another run.
        """
        own = {name: fingerprint_of_own(_module(name)) for name in self.model.custom.values()}
        return {
            "model": self.model.relevant(),
            "recipe": self.recipe.relevant(self.model.family),
            "corpus": self.corpus,
            "seed": self.seed,
        } | ({"own": own} if own else {})

    @functools.cached_property
    def run_id(self) -> str:
        """16 hexadecimal digits of the identity's SHA-256."""
        canonical = json.dumps(self.identity(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def tokens_per_step(self) -> int:
        """Tokens that a batch holds: a context each, which a source and its target share."""
        return self.recipe.batch_size * self.model.context_length

    @property
    def tokens(self) -> int:
        """Tokens trained on."""
        return self.recipe.steps * self.tokens_per_step

    @property
    def flops(self) -> float:
        """Floating-point operations of its training, by the formulas of `model.accounting`."""
        backward = self.model.family != "bigram"
        return self.recipe.steps * self.recipe.batch_size * self._flops_of_one(backward)

    @property
    def evaluation_flops(self) -> float:
        """Floating-point operations of its evaluations, along the way and at the end."""
        recipe = self.recipe
        times = 2 + recipe.steps // recipe.eval_every  # one before the first step, one of training
        windows = times * recipe.eval_windows + 2 * recipe.final_eval_windows
        return windows * self._flops_of_one(backward=False)

    def _flops_of_one(self, backward: bool) -> float:
        """Of one example."""
        family, context = self.model.family, self.model.context_length
        halves = family == "encoder_decoder" or (
            family == "encoder" and self.recipe.task in ("reverse", "sort")
        )
        time = context // 2 if halves else context
        return time * flops_per_token(self.model, time, backward)

    def to_json(self) -> str:
        """All fields, relevant or not, for `from_json` to read back."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: the text is not a run.
        """
        fields = json.loads(text)
        model, recipe = ModelConfig(**fields.pop("model")), Recipe(**fields.pop("recipe"))
        probes = tuple(fields.pop("probes"))
        return cls(model=model, recipe=recipe, probes=probes, **fields)
