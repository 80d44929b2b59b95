"""The configuration of a network: one frozen dataclass that refuses what cannot work."""

import dataclasses
import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

Family = Literal["decoder", "encoder", "encoder_decoder", "lstm", "mlp", "bigram"]
Position = Literal["none", "sinusoidal", "learned", "rope", "alibi"]
Norm = Literal["layernorm", "rmsnorm"]
NormPlacement = Literal["pre", "post", "sandwich", "none"]
BranchGain = Literal["none", "rezero", "layerscale"]
Activation = Literal["relu", "relu2", "gelu", "swiglu"]
Masking = Literal["before_softmax", "after_softmax"]
Initialisation = Literal["gpt2", "xavier"]
AttentionKernel = Literal["auto", "reference", "fused"]
SelfAttentionKind = Literal["multi_head"]
SublayerKind = Literal["standard"]

# Fields that may also name a function of one's own, as "package.module:function".
_CUSTOMISABLE = (
    "family",
    "position",
    "norm",
    "activation",
    "attention",
    "self_attention",
    "sublayer",
    "initialisation",
)
_CUSTOM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_CLASSIFIERS = ("encoder", "decoder")

# The fields that a baseline reads. A transformer reads all fields that are not for baselines only.
_READ_BY_ALL = frozenset({"family", "vocab_size", "context_length"})
_READ_BY_BASELINE: dict[str, frozenset[str]] = {
    "lstm": _READ_BY_ALL | {"d_model", "n_layers", "tie_embeddings", "dropout", "bias"},
    "mlp": _READ_BY_ALL | {"d_model", "d_ff", "initialisation", "dropout", "bias", "mlp_window"},
    "bigram": _READ_BY_ALL | {"bigram_smoothing"},
}
_BASELINES_ONLY = frozenset({"mlp_window", "bigram_smoothing"})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The hyperparameters of a network, under the names of the papers.

    Sizes are whole numbers of at least 1. The fields that choose a part of the network also take a
    function of one's own, as "package.module:function". It is called as the built-in parts are:

    | field            | called with                          | returns                           |
    |------------------|--------------------------------------|-----------------------------------|
    | `family`         | config                               | the network                       |
    | `position`       | config                               | a `model.position.NoPosition`     |
    | `norm`           | config                               | a module, [..., d_model] to same  |
    | `activation`     | config                               | a `model.feedforward.FeedForward` |
    | `attention`      | q, k, v, scoring, dropout            | as `attend_reference`             |
    | `self_attention` | config                               | a module, as `SelfAttention`      |
    | `sublayer`       | config, the module that is wrapped   | a module, as `Sublayer`           |
    | `initialisation` | the network, config                  | nothing: it sets the weights      |

    Raises:
        ValueError: a value cannot work; the message names the field, the value and what is allowed.
    """

    family: Family = "decoder"
    """Kind of network. "decoder" (Radford 2018), "encoder" (Devlin 2019) and "encoder_decoder"
    (Vaswani 2017) are transformers; "lstm" (Hochreiter 1997), "mlp" (Bengio 2003) and "bigram"
    (Shannon 1948) are baselines."""
    vocab_size: int
    """Number of token ids."""
    context_length: int
    """Tokens in a training sequence, and the most that generation reads at a time."""
    d_model: int
    """Width of embeddings and states. Even for position "sinusoidal"."""
    n_layers: int
    """Number of layers; an encoder-decoder has as many in each of its two stacks."""
    n_heads: int
    """Number of attention heads, a divisor of `d_model`. For position "rope", d_model / n_heads
    must be even."""
    n_kv_heads: int | None = None
    """Number of key and value heads, a divisor of `n_heads`: groups of query heads share them
    (Ainslie 2023; 1 is multi-query attention, Shazeer 2019). None gives each query head its own."""
    d_ff: int
    """Width of the feed-forward network's hidden layer, and of the MLP's. With activation "swiglu"
    the hidden layer has 2/3 · d_ff units, rounded, so that the parameters stay about equal."""
    position: Position = "rope"
    """Positional encoding: "none" (Haviv 2022), "sinusoidal" (Vaswani 2017), "learned" (Gehring
    2017), "rope" (Su 2021) or "alibi" (Press 2022)."""
    norm: Norm = "layernorm"
    """Kind of norm: "layernorm" (Ba 2016) or "rmsnorm" (Zhang & Sennrich 2019)."""
    norm_placement: NormPlacement = "pre"
    """Place of the norm: "pre", before each sublayer (Radford 2019, Xiong 2020), "post", after the
    residual sum (Vaswani 2017), "sandwich", before and after each sublayer (Ding 2021), or "none"
    for no norms."""
    residual: bool = True
    """Whether sublayers have residual connections (He 2016)."""
    branch_gain: BranchGain = "none"
    """Learned factor of what a sublayer adds to its residual connection: "none", "rezero", one
    number that is 0 at first (Bachlechner 2020), or "layerscale", one number for each feature, 0.1
    at first (Touvron 2021)."""
    activation: Activation = "gelu"
    """Activation of the feed-forward network: "relu" (Vaswani 2017), "relu2", its square (So 2021),
    "gelu" (Hendrycks 2016) or "swiglu" (Shazeer 2020)."""
    attention: AttentionKernel = "auto"
    """Implementation of attention: "reference" follows the definition, "fused" is one kernel (Dao
    2022), and "auto" is the faster of the two. All compute the same."""
    self_attention: SelfAttentionKind = "multi_head"
    """The module that mixes positions: "multi_head" (Vaswani 2017, section 3.2.2)."""
    sublayer: SublayerKind = "standard"
    """How attention and feed-forward network are wired into the stack: "standard", with residual
    connection and norm as `residual` and `norm_placement` say."""
    qk_norm: bool = False
    """Whether self-attention divides queries and keys by their root mean square in each head, with
    a learned gain, before positions rotate them (Henry 2020; Dehghani 2023; Qwen3 2025)."""
    window: int | None = None
    """Tokens that a position attends to, itself included (Beltagy 2020; Jiang 2023). None for all
    that the mask allows."""
    sinks: bool = False
    """Whether each head of self-attention has a learned score of a key that has no value, so that
    its weights may sum to less than one (Xiao 2023; gpt-oss 2025)."""
    score_cap: float | None = None
    """Attention scores s become cap · tanh(s / cap) (Gemma 2, 2024). None for no cap."""
    logit_cap: float | None = None
    """Logits of a language model become cap · tanh(logits / cap) (Gemma 2, 2024). None for no
    cap."""
    rope_share: float = 1.0
    """Share of each head's features that position "rope" rotates, the first of them (GPT-NeoX,
    Black 2022)."""
    attention_scale: bool = True
    """Whether attention scores are divided by sqrt(head_dim) (Vaswani 2017, section 3.2.1)."""
    masking: Masking = "before_softmax"
    """Place of the causal mask: "before_softmax" (Vaswani 2017), or "after_softmax", which leaks
    the future and cannot be done by attention "fused"; the `masking` ablation shows the leak."""
    initialisation: Initialisation = "gpt2"
    """Initial weights: "gpt2" (Radford 2019) or "xavier" (Glorot 2010)."""
    embedding_scale: bool = False
    """Whether token embeddings are multiplied by sqrt(d_model) (Vaswani 2017, section 3.4)."""
    tie_embeddings: bool = True
    """Whether the language-model head shares the embedding's matrix (Press & Wolf 2017); an
    encoder-decoder then has one matrix for source, target and head."""
    dropout: float = 0.0
    """Probability of dropout, from 0 up to, not including, 1 (Srivastava 2014): on embeddings,
    attention weights and sublayer outputs (Vaswani 2017, section 5.4)."""
    bias: bool = True
    """Whether linear layers and LayerNorm have biases. Language-model heads never have one, except
    the MLP's."""
    n_classes: int | None = None
    """Number of classes, at least 2, of an encoder or a decoder that classifies sequences. None
    for a language model."""
    mlp_window: int = 8
    """Tokens that the MLP sees."""
    bigram_smoothing: float = 1.0
    """Number above 0 that is added to every count of the bigram; 1 is Laplace's rule."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if get_origin(field.type) is Literal:
                allowed = get_args(field.type)
                custom = field.name in _CUSTOMISABLE and is_custom(value)
                if value not in allowed and not custom:
                    choices = f"one of {', '.join(allowed)}{nearest(value, allowed)}"
                    raise _refusal(self, field.name, choices)
            elif field.type is int and (type(value) is not int or value < 1):
                raise _refusal(self, field.name, "a whole number of at least 1")
            elif field.type is bool and type(value) is not bool:
                raise _refusal(self, field.name, "True or False")
        if not _is_number(self.dropout) or not 0.0 <= self.dropout < 1.0:
            raise _refusal(self, "dropout", "a number from 0 up to, not including, 1")
        if not _is_number(self.bigram_smoothing) or self.bigram_smoothing <= 0.0:
            raise _refusal(self, "bigram_smoothing", "a number above 0")
        if not _is_number(self.rope_share) or not 0.0 < self.rope_share <= 1.0:
            raise _refusal(self, "rope_share", "a number above 0 and at most 1")
        for name in ("score_cap", "logit_cap"):
            cap = getattr(self, name)
            if cap is not None and (not _is_number(cap) or cap <= 0.0):
                raise _refusal(self, name, "None or a number above 0")
        for name in ("dropout", "bigram_smoothing", "rope_share", "score_cap", "logit_cap"):
            value = getattr(self, name)
            if value is not None:  # 1 and 1.0 must give the same run id
                object.__setattr__(self, name, float(value))
        if self.n_classes is not None and self.family not in _CLASSIFIERS:
            raise _refusal(self, "n_classes", "None unless family is " + " or ".join(_CLASSIFIERS))
        if self.n_classes is not None and (type(self.n_classes) is not int or self.n_classes < 2):
            raise _refusal(self, "n_classes", "None or a whole number of at least 2")
        if self.family not in _READ_BY_BASELINE and "family" not in self.custom:
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
        if self.window is not None and (type(self.window) is not int or self.window < 1):
            raise _refusal(self, "window", "None or a whole number of at least 1")
        if self.masking == "after_softmax" and (self.attention == "fused" or self.sinks):
            raise _refusal(self, "masking", "before_softmax where attention='fused', or with sinks")
        if self.attention == "fused" and (self.sinks or self.score_cap is not None):
            raise _refusal(self, "attention", "another where there are sinks or a score_cap")
        if self.branch_gain != "none" and not self.residual:
            raise _refusal(self, "branch_gain", "'none' without residual connections")
        if self.position == "rope" and self.head_dim % 2:
            raise ValueError(
                f"d_model={self.d_model} with n_heads={self.n_heads} cannot work: d_model / n_heads"
                f" must be even for position='rope', not {self.head_dim}"
            )
        if self.position == "sinusoidal" and self.d_model % 2:
            raise _refusal(self, "d_model", "an even number for position='sinusoidal'")

    @property
    def custom(self) -> dict[str, str]:
        """The fields that name a function of one's own, as far as this network reads them."""
        if not any(is_custom(getattr(self, name)) for name in _CUSTOMISABLE):
            return {}
        read = self.relevant()
        return {name: read[name] for name in _CUSTOMISABLE if is_custom(read.get(name))}

    @property
    def head_dim(self) -> int:
        """Width of one attention head, d_k = d_model / n_heads."""
        return self.d_model // self.n_heads

    @property
    def rotated_dim(self) -> int:
        """Number of features of each head that position "rope" rotates: even, and at least 2."""
        return max(2, 2 * int(self.head_dim * self.rope_share / 2))

    @property
    def embedding_std(self) -> float:
        """Initial standard deviation of embeddings: 0.02 for "gpt2", else d_model^(-1/2)."""
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
        """The fields that this network reads, by name. The other fields do not change the network,
        so they are left out of a run's identity and of the tables.
        """
        values = dataclasses.asdict(self) | {"n_kv_heads": self.kv_heads}
        if is_custom(self.family):  # which may read any field
            unread = {"n_classes"}
        elif self.family in _READ_BY_BASELINE:
            unread = values.keys() - _READ_BY_BASELINE[self.family]
        else:
            unread = set(_BASELINES_ONLY)
            if self.family not in _CLASSIFIERS:
                unread.add("n_classes")
            if self.n_classes is not None:  # a classification head cannot be tied
                unread |= {"tie_embeddings", "logit_cap"}
            if self.position != "rope":
                unread.add("rope_share")
            if self.norm_placement == "none":
                unread.add("norm")
        return {name: value for name, value in values.items() if name not in unread}


def nearest(name: object, allowed: Sequence[str]) -> str:
    """ ", did you mean 'x'?" for the allowed name closest to `name`; "" if none is close."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def is_custom(value: object) -> bool:
    """Whether a value names a function of one's own, as "package.module:function"."""
    return isinstance(value, str) and bool(_CUSTOM.fullmatch(value))


def _refusal(config: ModelConfig, name: str, allowed: str) -> ValueError:
    return ValueError(f"{name}={getattr(config, name)!r} cannot work: it must be {allowed}")
