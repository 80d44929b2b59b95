"""A run: everything that decides its numbers, and the hash that names it."""

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from experiments.identity import LEFT_OUT, check_custom, mechanism_fingerprint, without
from experiments.recipe import FAMILIES, Recipe
from model import ModelConfig
from model.accounting import flops_per_token

Probe = Literal["positions", "lengths", "heads", "pruning", "layers", "samples", "atlas"]


def own_probe(name: str) -> str:
    """The function that measures a probe of one's own, "module:function"; empty for built-in
    probes.
    """
    return name.partition("@")[0] if "@" in name else ""


_OF_HEADS: tuple[Probe, ...] = ("heads", "pruning", "atlas")  # probes of attention weights


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One training run: a network, a recipe, a corpus and a seed.

    `corpus` is the corpus's content hash. `probes` are applied to the trained network and change
    none of the run's numbers; each is a `Probe` or the name of an `OwnProbe`. A run with `tuning`
    only tries a learning rate: it is not evaluated on the test split and is in no comparison.

    Raises:
        ValueError: a value cannot work; the message names the field, the value and what is allowed.
    """

    model: ModelConfig
    recipe: Recipe
    corpus: str
    seed: int
    probes: tuple[str, ...] = ()
    tuning: bool = False

    def __post_init__(self) -> None:
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(
                f"seed={self.seed!r} cannot work: it must be a whole number, 0 or more"
            )
        if type(self.tuning) is not bool:
            raise ValueError(f"tuning={self.tuning!r} cannot work: it must be true or false")
        for field, reference in self.custom.items():
            check_custom(field, reference)
        task, family = self.recipe.task, self.model.family
        # A family of one's own reads one sequence and predicts tokens, as a decoder does.
        reads_as = "decoder" if "family" in self.model.custom and task != "genre" else family
        if "task" not in self.recipe.custom and reads_as not in FAMILIES[task]:
            families = ", ".join(FAMILIES[task])
            raise ValueError(f"family={family!r} cannot work: the task '{task}' is for {families}")
        if unknown := [name for name in self.probes if name in _OF_HEADS and self._mixes_otherwise]:
            raise ValueError(
                f"probes={self.probes!r} cannot work: {unknown[0]} reads the weights of attention,"
                " which an attention of one's own need not have"
            )
        for name in self.probes:
            if reference := own_probe(name):
                check_custom("probes", reference)
            elif task != "language":
                raise ValueError(f"probes={name!r} cannot work: it is for the task 'language'")

    @property
    def _mixes_otherwise(self) -> bool:
        """True if a function of one's own decides how the network mixes positions."""
        return bool({"attention", "self_attention", "family"} & self.model.custom.keys())

    @property
    def custom(self) -> dict[str, str]:
        """The fields of the network and of its training that name a function of one's own."""
        read = self.recipe.relevant(self.model.family)
        recipe = self.recipe.custom
        return self.model.custom | {name: recipe[name] for name in recipe if name in read}

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
        if self.custom:
            identity["custom"] = {
                reference: mechanism_fingerprint(reference.partition(":")[0])
                for reference in self.custom.values()
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
