"""What a network is made of: one frozen dataclass that refuses what cannot work."""

import dataclasses
import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Family = Literal["decoder", "encoder", "encoder_decoder", "lstm", "mlp", "bigram"]
Position = Literal["none", "sinusoidal", "learned", "rope", "alibi"]
Norm = Literal["layernorm", "rmsnorm"]
NormPlacement = Literal["pre", "post", "none"]
Activation = Literal["relu", "gelu", "swiglu"]
Masking = Literal["before_softmax", "after_softmax"]
Initialisation = Literal["gpt2", "xavier"]
AttentionKernel = Literal["reference", "fused"]

_CHOICES: dict[str, tuple[Any, ...]] = {
    "family": get_args(Family),
    "position": get_args(Position),
    "norm": get_args(Norm),
    "norm_placement": get_args(NormPlacement),
    "activation": get_args(Activation),
    "masking": get_args(Masking),
    "attention": get_args(AttentionKernel),
    "initialisation": get_args(Initialisation),
}
# Fields that take a mechanism of one's own besides: "package.module:function", which gets the
# config and returns what stands in its place.
OPEN = ("position", "norm", "activation")
_ELSEWHERE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SIZES = ("vocab_size", "context_length", "d_model", "n_layers", "n_heads", "d_ff", "mlp_window")
_SWITCHES = ("residual", "attention_scale", "embedding_scale", "tie_embeddings", "bias")

# The fields that each family reads, but for the transformers, which read all that no other family
# has for itself. `relevant` leaves the rest out, so that they neither split a run's identity nor
# show up in its row of a table.
_COMMON = frozenset({"family", "vocab_size", "context_length"})
_CLASSIFIER_FIELDS = frozenset({"n_classes"})
_CLASSIFIERS = ("encoder", "decoder")
_MLP_FIELDS = frozenset({"mlp_window"})
_BIGRAM_FIELDS = frozenset({"bigram_smoothing"})
_READ_BY: dict[str, frozenset[str]] = {
    "lstm": _COMMON | {"d_model", "n_layers", "tie_embeddings", "dropout", "bias"},
    "mlp": _COMMON | {"d_model", "d_ff", "initialisation", "dropout", "bias"} | _MLP_FIELDS,
    "bigram": _COMMON | _BIGRAM_FIELDS,
}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A network's hyperparameters, under the papers' names.

    `position`, `norm` and `activation` may also name a function of one's own, as
    "package.module:function": it takes the config and returns what stands in place of a class of
    `model.position`, of a norm, or of a class of `model.feedforward`.

    `n_kv_heads` is the number of key and value heads that the query heads share in groups; None
    gives each query head its own. `attention` chooses between the definition and one fused kernel,
    which compute the same; `masking` "after_softmax" is there to show what it breaks.
    `initialisation` is a scheme of `model.initialisation`. `embedding_scale` multiplies the token
    embeddings by sqrt(d_model) (Vaswani 2017, section 3.4). With `activation="swiglu"` the hidden
    width is two thirds of `d_ff`, rounded, so that the parameters stay about equal. An
    encoder-decoder has `n_layers` in each of its halves. `n_classes` makes an encoder or a decoder
    a classifier; `mlp_window` is how many tokens the MLP sees, `bigram_smoothing` what is added to
    the bigram's counts.

    Raises:
        ValueError: a value cannot work; the message names the field, the value and what is allowed.
    """

    family: Family = "decoder"
    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None = None
    d_ff: int
    position: Position = "rope"
    norm: Norm = "layernorm"
    norm_placement: NormPlacement = "pre"
    residual: bool = True
    activation: Activation = "gelu"
    attention: AttentionKernel = "fused"
    attention_scale: bool = True
    masking: Masking = "before_softmax"
    initialisation: Initialisation = "gpt2"
    embedding_scale: bool = False
    tie_embeddings: bool = True
    dropout: float = 0.0
    bias: bool = True
    n_classes: int | None = None
    mlp_window: int = 8
    bigram_smoothing: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed and not (name in OPEN and _is_elsewhere(value)):
                raise _refusal(self, name, f"one of {', '.join(allowed)}{nearest(value, allowed)}")
        for name in _SIZES:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise _refusal(self, name, "a whole number of at least 1")
        for name in _SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise _refusal(self, name, "True or False")
        if type(self.dropout) not in (int, float) or not 0.0 <= self.dropout < 1.0:
            raise _refusal(self, "dropout", "a number from 0 up to, not including, 1")
        smoothing = self.bigram_smoothing
        if type(smoothing) not in (int, float) or not 0.0 < smoothing < math.inf:
            raise _refusal(self, "bigram_smoothing", "a number above 0")
        # the same number is the same run, however it was written
        object.__setattr__(self, "dropout", float(self.dropout))
        object.__setattr__(self, "bigram_smoothing", float(smoothing))
        if self.n_classes is not None and self.family not in _CLASSIFIERS:
            raise _refusal(self, "n_classes", "None unless family is " + " or ".join(_CLASSIFIERS))
        if self.n_classes is not None and (type(self.n_classes) is not int or self.n_classes < 2):
            raise _refusal(self, "n_classes", "None or a whole number of at least 2")
        if self.family not in _READ_BY:
            self._check_transformer()

    def _check_transformer(self) -> None:
        if self.d_model % self.n_heads:
            raise _refusal(self, "n_heads", f"a divisor of d_model={self.d_model}")
        if self.n_kv_heads is not None and (
            type(self.n_kv_heads) is not int
            or self.n_kv_heads < 1
            or self.n_heads % self.n_kv_heads
        ):
            raise _refusal(self, "n_kv_heads", f"None or a divisor of n_heads={self.n_heads}")
        if self.masking == "after_softmax" and self.attention == "fused":
            raise _refusal(self, "masking", "before_softmax where attention='fused'")
        if self.position == "rope" and self.head_dim % 2:
            needed = f"an even d_model / n_heads for position='rope', not {self.head_dim}"
            raise _refusal(self, "n_heads", needed)
        if self.position == "sinusoidal" and self.d_model % 2:
            raise _refusal(self, "d_model", "an even number for position='sinusoidal'")

    @property
    def custom(self) -> dict[str, str]:
        """The fields that name a mechanism which is none of ours."""
        named = {name: getattr(self, name) for name in OPEN if _is_elsewhere(getattr(self, name))}
        read = self.relevant() if named else {}
        return {name: value for name, value in named.items() if name in read}

    @property
    def head_dim(self) -> int:
        """Width of one attention head, d_k = d_model / n_heads."""
        return self.d_model // self.n_heads

    @property
    def embedding_std(self) -> float:
        """Standard deviation that embeddings start with: GPT-2's 0.02, else d_model^(-1/2)."""
        return 0.02 if self.initialisation == "gpt2" else float(self.d_model**-0.5)

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def hidden_width(self) -> int:
        """Width of the feed-forward network's hidden layer: `d_ff`, or round(2/3 · d_ff)."""
        return round(2 * self.d_ff / 3) if self.activation == "swiglu" else self.d_ff

    def relevant(self) -> dict[str, Any]:
        """The fields that this network reads, by name; the rest have no effect on it."""
        values = dataclasses.asdict(self) | {"n_kv_heads": self.kv_heads}
        ours = _CLASSIFIER_FIELDS if self.family in _CLASSIFIERS else frozenset()
        others = (_CLASSIFIER_FIELDS | _MLP_FIELDS | _BIGRAM_FIELDS) - ours
        if self.n_classes is not None:
            others |= {"tie_embeddings"}  # a classifier's head is no embedding
        if self.norm_placement == "none":
            others |= {"norm"}
        read = _READ_BY.get(self.family, values.keys() - others)
        return {name: value for name, value in values.items() if name in read}


def nearest(name: object, allowed: Sequence[str]) -> str:
    """ ", did you mean 'x'?" where something allowed is near to `name`, else nothing."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _is_elsewhere(value: object) -> bool:
    return isinstance(value, str) and bool(_ELSEWHERE.fullmatch(value))


def _refusal(config: ModelConfig, name: str, allowed: str) -> ValueError:
    return ValueError(f"{name}={getattr(config, name)!r} cannot work: it must be {allowed}")
