"""Do deep stacks train without residual connections, or without layer normalisation?"""

from typing import Any

from experiments.ablation import Ablation, Claim, Times, Trains, Variant

# Deep stacks are expensive: they have half the base's steps and half the base's batch.
BUDGET = {
    "recipe.steps": Times(0.5),
    "recipe.warmup_steps": Times(0.5),
    "recipe.batch_size": Times(0.5),
}
KINDS: dict[str, dict[str, Any]] = {
    "both": {},
    "no-residual": {"model.residual": False},
    "no-norm": {"model.norm_placement": "none"},
    "neither": {"model.residual": False, "model.norm_placement": "none"},
}
DEPTHS = {"shallow": Times(0.5), "deep": Times(2), "deepest": Times(6)}

ABLATION = Ablation(
    title="Depth, residual connections and normalisation",
    question="From two layers to two dozen: which stacks train when residual connections, layer"
    " normalisation or both are taken out?",
    group="trainable",
    section="Residual connections and layer normalisation",
    baseline="deepest-both",
    variants=[
        *(
            Variant(f"{depth}-{kind}", BUDGET | changes | {"model.n_layers": layers})
            for depth, layers in DEPTHS.items()
            for kind, changes in KINDS.items()
        ),
    ],
    claims=[
        Claim(
            id="no-residual",
            sentence="Without residual connections deep stacks do not train.",
            said_by="course notes",
            effect={"deepest-both": 1, "deepest-no-residual": -1},
            metric="trains",
            margin=0.25,
            why_margin="a recipe that fails in a quarter of its seeds cannot be relied on",
            requires=[Trains("deepest-both", 0.5)],
        ),
        Claim(
            id="no-norm",
            sentence="Without layer normalisation deep stacks do not train.",
            said_by="course notes",
            effect={"deepest-both": 1, "deepest-no-norm": -1},
            metric="trains",
            margin=0.25,
            why_margin="a recipe that fails in a quarter of its seeds cannot be relied on",
            published="Narang 2021: Fixup and ReZero train without it, to a worse loss",
            requires=[Trains("deepest-both", 0.5)],
        ),
    ],
    probes=["layers"],
    budgets=[1, 16],
    why=(
        "Without residual connections the gradient is multiplied by the Jacobian J of every "
        "layer, so it vanishes or explodes with the depth. With residual connections the "
        "factor is I + J, which is near the identity as long as J is small."
    ),
    equation=r"\frac{\partial x_L}{\partial x_0} = \prod_{l} \left( I + J_l \right)",
    limits="A quarter of the base's tokens. All variants have the base's initialisation; another"
    " initialisation, made for a variant, may rescue it. The claims are judged in the deepest"
    " stacks; all other stacks have the rate of the deepest one with both.",
)
