"""From ablations to the list of runs: every variant of every ablation, for every seed."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from experiments.ablation import Ablation
from experiments.errors import UserError
from experiments.profiles import Profile
from experiments.spec import Precision, RunSpec, Task


@dataclass(frozen=True)
class Member:
    """A run's place in the study. Equal runs of several ablations are one run, several members."""

    ablation: str
    variant: str
    spec: RunSpec


def plan(
    profile: Profile,
    ablations: Mapping[str, Ablation],
    *,
    vocab_size: int,
    corpus_hash: str,
    seeds: int,
    fewer_seeds: int,
    precision: Precision,
    without: Collection[Task] = (),
) -> list[Member]:
    """Every member of the study: seed by seed, and within a seed the longest runs first; variants
    of a task that the corpus does not have are left out.

    Raises:
        UserError: variants that cannot work, all of them named at once.
    """
    base = profile.base_model(vocab_size)
    members, refusals = [], []
    for name, ablation in ablations.items():
        for variant in ablation.variants:
            try:
                model, recipe = variant.applied_to(base, profile.recipe)
                specs = [
                    RunSpec(
                        model=model,
                        recipe=recipe,
                        corpus=corpus_hash,
                        seed=seed,
                        precision=precision,
                        probes=tuple(p for p in ablation.probes if seed == 0 or p != "samples"),
                    )
                    for seed in range(seeds if ablation.core else fewer_seeds)
                ]
            except (ValueError, TypeError) as error:
                refusals.append(f"variant '{name}/{variant.name}': {error}")
                continue
            if recipe.task not in without:
                members += [Member(name, variant.name, spec) for spec in specs]
    if refusals:
        raise UserError("; ".join(refusals))
    return sorted(members, key=lambda member: (member.spec.seed, -member.spec.cost))


def runs_of(members: Iterable[Member]) -> list[RunSpec]:
    """The distinct runs, in the members' order, each with the probes that any member asks for."""
    merged: dict[str, RunSpec] = {}
    for spec in (member.spec for member in members):
        others = merged.get(spec.run_id, spec).probes
        probes = tuple(sorted({*others, *spec.probes}))
        merged[spec.run_id] = dataclasses.replace(spec, probes=probes)
    return list(merged.values())
