"""A run: everything that decides its numbers, and the hash that names it."""

import dataclasses
import functools
import hashlib
import importlib
import json
import math
import sys
from dataclasses import dataclass
from typing import Any, Literal, get_args

from experiments.fingerprint import mechanism_fingerprint
from experiments.identity import LEFT_OUT, without
from model import ModelConfig
from model.accounting import flops_per_token
from model.config import nearest

Precision = Literal["fp32", "bf16"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "inverse_sqrt", "constant"]
Task = Literal["language", "masked", "continuation", "genre", "reverse", "sort", "repeat"]
Probe = Literal["positions", "lengths", "heads", "pruning", "layers", "samples", "atlas"]

SPLITS = ("train", "val", "test")
GENRES = ("comedy", "history", "tragedy")  # the classes of the task "genre"
SYMBOLS = 24  # distinct symbols in the sequences of the tasks "reverse", "sort" and "repeat"

# The families that can be trained on each task. An encoder cannot be trained to predict the next
# token, because it sees the next token. Only an encoder-decoder reads a separate source.
FAMILIES: dict[Task, tuple[str, ...]] = {
    "language": ("decoder", "lstm", "mlp", "bigram"),
    "masked": ("encoder",),
    "continuation": ("decoder", "encoder_decoder", "lstm"),
    "genre": ("encoder", "decoder"),
    "reverse": ("encoder", "decoder", "encoder_decoder", "lstm"),
    "sort": ("encoder", "decoder", "encoder_decoder", "lstm"),
    "repeat": ("decoder", "lstm"),
}

# Tasks whose targets are tokens of the corpus. Only their losses have a value per character.
TEXT_TASKS: tuple[Task, ...] = ("language", "masked", "continuation")

_CUSTOM_MECHANISMS = "experiments.ablations."  # the only package that mechanisms are imported from
_CHOICES = {
    "task": get_args(Task),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}
_COUNTS = ("steps", "batch_size", "log_every", "eval_every", "eval_windows")
_POSITIVE = ("learning_rate", "gradient_clip", "epsilon")
_FRACTIONS = ("final_learning_rate_ratio", "beta1", "beta2", "label_smoothing")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The task and the training settings.

    Training uses Adam or AdamW, linear warm-up followed by a schedule, and gradient clipping. A
    bigram is not trained but counted from the same batches.

    A window is `context_length` tokens of text, or one example of another task. Every evaluation of
    a split uses the same `eval_windows` windows, during training and at its end, so a curve of the
    validation loss ends at the loss that the tables give.

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

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            self._require(name, getattr(self, name) in choices, "one of " + ", ".join(choices))
        for name in _COUNTS:
            value = getattr(self, name)
            self._require(name, type(value) is int and value >= 1, "a whole number of at least 1")
        warmup, steps = self.warmup_steps, self.steps
        self._require(
            "warmup_steps", type(warmup) is int and 0 <= warmup <= steps, f"from 0 to steps={steps}"
        )
        self._require("compiled", type(self.compiled) is bool, "true or false")
        for name in _POSITIVE:
            value = getattr(self, name)
            self._require(name, _is_number(value) and value > 0, "a number above 0")
        for name in _FRACTIONS:
            value = getattr(self, name)
            allowed = "a number from 0 up to, not including, 1"
            self._require(name, _is_number(value) and 0 <= value < 1, allowed)
        decay = self.weight_decay
        self._require("weight_decay", _is_number(decay) and decay >= 0, "a number of at least 0")
        for name in (*_POSITIVE, *_FRACTIONS, "weight_decay"):
            # 1 and 1.0 are the same value, so they must give the same run id.
            object.__setattr__(self, name, float(getattr(self, name)))

    def evaluates_after(self, step: int) -> bool:
        """Whether the network is evaluated after a step: after every `eval_every` steps and after
        the last.

        In a training of several such intervals, it is also evaluated after a half, a quarter and so
        on of the first one, as far as these are whole steps: the loss falls fastest there.
        """
        if step % self.eval_every == 0 or step == self.steps:
            return True
        times, rest = divmod(self.eval_every, step)
        return self.early_evaluations > 0 and rest == 0 and times.bit_count() == 1

    @property
    def early_evaluations(self) -> int:
        """Number of evaluations within the first interval: how often it can be halved."""
        halvings = (self.eval_every & -self.eval_every).bit_length() - 1
        return halvings if self.eval_every < self.steps else 0

    def relevant(self, family: str) -> dict[str, Any]:
        """The fields that affect the training of a network of this family, by name."""
        unused: set[str] = set()
        if self.schedule != "cosine":
            unused |= {"final_learning_rate_ratio"}
        if family == "bigram":  # counted, not optimised
            unused |= {"compiled", "optimizer", "schedule", "warmup_steps", "weight_decay"}
            unused |= {*_POSITIVE, *_FRACTIONS} - {"label_smoothing"}
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in unused}

    def _require(self, name: str, valid: bool, allowed: str) -> None:
        if not valid:
            value = getattr(self, name)
            raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}")


def _is_number(value: Any) -> bool:
    """Whether a value is an int or a float that is finite as a float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def fields_for(task: Task, corpus_vocabulary: int) -> dict[str, Any]:
    """The model fields that a task decides, given the number of tokens in the corpus.

    Some tasks add one token to the vocabulary: the mask, the class token, or the start of an
    answer.
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
    """One training run: a network, a recipe, a corpus and a seed.

    `corpus` is the corpus's content hash. `probes` are applied to the trained network and change
    none of the run's numbers. A run with `tuning` only tries a learning rate: it is not evaluated
    on the test split and is in no comparison.

    Raises:
        ValueError: a value cannot work; the message names the field, the value and what is allowed.
    """

    model: ModelConfig
    recipe: Recipe
    corpus: str
    seed: int
    probes: tuple[Probe, ...] = ()
    tuning: bool = False

    def __post_init__(self) -> None:
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(
                f"seed={self.seed!r} cannot work: it must be a whole number, 0 or more"
            )
        if type(self.tuning) is not bool:
            raise ValueError(f"tuning={self.tuning!r} cannot work: it must be true or false")
        for field, reference in self.model.custom.items():
            _check_mechanism(field, reference)
        task = self.recipe.task
        if self.model.family not in FAMILIES[task]:
            families = ", ".join(FAMILIES[task])
            raise ValueError(
                f"family={self.model.family!r} cannot work: the task '{task}' is for {families}"
            )
        if self.probes and task != "language":
            raise ValueError(
                f"probes={self.probes!r} cannot work: they are for the task 'language'"
            )

    def identity(self) -> dict[str, Any]:
        """Everything that decides the run's numbers, as plain values: the input of `run_id`.

        Fields that this network and its training do not use are left out, and so are the values of
        `LEFT_OUT`. A custom mechanism contributes the fingerprint of its file, so editing the
        mechanism makes another run.
        """
        model, recipe = self.model.relevant(), self.recipe.relevant(self.model.family)
        every_head = {"n_kv_heads": self.model.n_heads}
        identity = {
            "model": without(model, LEFT_OUT["model"] | every_head),
            "recipe": without(recipe, LEFT_OUT["recipe"]),
            "corpus": self.corpus,
            "seed": self.seed,
        }
        if custom := self.model.custom:
            identity["custom"] = {
                reference: mechanism_fingerprint(reference.partition(":")[0])
                for reference in custom.values()
            }
        if self.tuning:
            identity["tuning"] = True
        return identity

    @functools.cached_property
    def run_id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the identity."""
        canonical = json.dumps(self.identity(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def tokens_per_step(self) -> int:
        """Tokens in a batch. A source and its target together fill one context."""
        return self.recipe.batch_size * self.model.context_length

    @property
    def tokens(self) -> int:
        """Tokens in all training batches."""
        return self.recipe.steps * self.tokens_per_step

    @property
    def flops(self) -> float:
        """Training FLOPs, by the formulas of `model.accounting`."""
        backward = self.model.family != "bigram"
        return self.recipe.steps * self.recipe.batch_size * self._flops_per_example(backward)

    @property
    def evaluation_flops(self) -> float:
        """FLOPs of all evaluations, during training and at the end."""
        recipe = self.recipe
        # Before the first step, during training, and of the other splits at the end.
        other_splits = 0 if self.tuning else 2
        intervals = math.ceil(recipe.steps / recipe.eval_every)
        evaluations = 1 + recipe.early_evaluations + intervals + other_splits
        return evaluations * recipe.eval_windows * self._flops_per_example(backward=False)

    def _flops_per_example(self, backward: bool) -> float:
        """FLOPs for one example."""
        family, length = self.model.family, self.model.context_length
        answers_in_place = family == "encoder" and self.recipe.task in ("reverse", "sort")
        if family == "encoder_decoder" or answers_in_place:
            length //= 2  # a source and its target are half a context each
        return length * flops_per_token(self.model, length, backward)

    def to_json(self) -> str:
        """All fields, whether they are used or not, for `from_json` to read."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "RunSpec":
        """Read the text that `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: the text does not describe a run.
        """
        fields = json.loads(text)
        model, recipe = ModelConfig(**fields.pop("model")), Recipe(**fields.pop("recipe"))
        probes = tuple(fields.pop("probes"))
        return cls(model=model, recipe=recipe, probes=probes, **fields)


def _check_mechanism(field: str, reference: str) -> None:
    """Refuse a custom mechanism that does not exist or is not in an ablation's file.

    A spec may come from anywhere, and must not be able to call other code.
    """
    module, _, function = reference.partition(":")
    if not module.startswith(_CUSTOM_MECHANISMS):
        raise ValueError(f"{field}={reference!r} cannot work: it must be a function of an ablation")
    try:
        content = importlib.import_module(module)
    except ImportError:
        raise ValueError(f"{field}={reference!r} cannot work: there is no such file") from None
    if not callable(getattr(content, function, None)):
        hint = nearest(function, dir(content))
        raise ValueError(f"{field}={reference!r} cannot work: its file has no '{function}'{hint}")
