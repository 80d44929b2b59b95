"""A recipe: the task of a run and how it is trained."""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any, Literal, get_args

from model.config import is_custom

Precision = Literal["fp32", "bf16"]
Optimizer = Literal["adamw", "adam", "muon"]
Schedule = Literal["cosine", "inverse_sqrt", "constant", "wsd"]
Loss = Literal["cross_entropy"]
Task = Literal["language", "masked", "continuation", "genre", "reverse", "sort", "repeat"]

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

# Fields that may name a function of one's own, as "package.module:function".
_CUSTOMISABLE = ("task", "optimizer", "schedule", "loss")
_CHOICES = {
    "task": get_args(Task),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "loss": get_args(Loss),
    "precision": get_args(Precision),
}
_COUNTS = ("steps", "batch_size", "log_every", "eval_every", "eval_windows")
_POSITIVE = ("learning_rate", "gradient_clip", "epsilon")
_FRACTIONS = ("final_learning_rate_ratio", "beta1", "beta2", "label_smoothing")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The task and the training settings.

    Training uses an optimizer, linear warm-up followed by a schedule, and gradient clipping. A
    bigram is not trained but counted from the same batches.

    A window is `context_length` tokens of text, or one example of another task. Every evaluation of
    a split uses the same `eval_windows` windows, during training and at its end, so a curve of the
    validation loss ends at the loss that the tables give.

    Four fields also take a function of one's own, as "package.module:function":

    | field       | called with                            | returns                               |
    |-------------|----------------------------------------|---------------------------------------|
    | `task`      | run, corpus, device                    | an object as those of                 |
    |             |                                        | `experiments.training.tasks`          |
    | `optimizer` | the network, recipe                    | a `torch.optim.Optimizer`             |
    | `schedule`  | step, recipe                           | the learning rate's multiple          |
    | `loss`      | logits [..., classes], targets [...],  | the training loss; evaluations stay   |
    |             | recipe                                 | cross-entropy                         |

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
    loss: Loss = "cross_entropy"
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
            if name not in self.custom:
                known = getattr(self, name) in choices
                self._require(name, known, "one of " + ", ".join(choices))
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
        """True if the network is evaluated after a step: after every `eval_every` steps and after
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

    @property
    def custom(self) -> dict[str, str]:
        """The fields that name a function of one's own."""
        values = {name: getattr(self, name) for name in _CUSTOMISABLE}
        return {name: value for name, value in values.items() if is_custom(value)}

    def relevant(self, family: str) -> dict[str, Any]:
        """The fields that affect the training of a network of this family, by name."""
        unused: set[str] = set()
        if self.schedule not in ("cosine", "wsd", *self.custom.values()):
            unused |= {"final_learning_rate_ratio"}
        if family == "bigram":  # counted, not optimised
            unused |= {"compiled", "optimizer", "schedule", "loss", "warmup_steps", "weight_decay"}
            unused |= {*_POSITIVE, *_FRACTIONS} - {"label_smoothing"}
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in unused}

    def _require(self, name: str, valid: bool, allowed: str) -> None:
        if not valid:
            value = getattr(self, name)
            raise ValueError(f"{name}={value!r} cannot work: it must be {allowed}")


def _is_number(value: Any) -> bool:
    """True if a value is an int or a float that is finite as a float."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def fields_for(task: str, corpus_vocabulary: int) -> dict[str, Any]:
    """The model fields that a task decides, given the number of tokens in the corpus.

    Some tasks add one token to the vocabulary: the mask, the class token, or the start of an
    answer. A task of one's own has the corpus's vocabulary, unless the variant sets another.
    """
    if task in ("language", "continuation") or is_custom(task):
        return {"vocab_size": corpus_vocabulary}
    if task == "masked":
        return {"vocab_size": corpus_vocabulary + 1}
    if task == "genre":
        return {"vocab_size": corpus_vocabulary + 1, "n_classes": len(GENRES)}
    return {"vocab_size": SYMBOLS + 1}


def guess_loss(task: str, vocab_size: int, n_classes: int | None) -> float:
    """Loss of a uniform guess over the answers of a task that is not on text, in nats per target.

    The tokens of a task of one's own count as its answers where it has no classes.
    """
    answers = vocab_size if is_custom(task) else SYMBOLS
    return math.log(n_classes or answers)
