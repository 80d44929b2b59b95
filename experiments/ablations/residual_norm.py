"""What are residual connections and layer normalisation worth at the base's depth?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

NO_RESIDUAL = {"model.residual": False}
NO_NORM = {"model.norm_placement": "none"}

ABLATION = Ablation(
    title="Residual connections and layer normalisation",
    question="What does each of the two gain, each variant at its own learning rate?",
    group="trainable",
    section="Residual connections and layer normalisation",
    baseline="both",
    variants=[
        Variant("both"),
        Variant("no-residual", NO_RESIDUAL),
        Variant("no-norm", NO_NORM),
        Variant("neither", NO_RESIDUAL | NO_NORM),
    ],
    claims=[
        Claim(
            id="residual",
            sentence="Residual connections help even a shallow stack.",
            said_by="course notes",
            effect={"no-residual": 1, "both": -1},
            margin=0.05,
            why_margin="a twentieth of a nat is what a longer training easily makes up",
            requires=[Beats("both")],
        ),
        Claim(
            id="norm",
            sentence="Layer normalisation helps even a shallow stack.",
            said_by="course notes",
            effect={"no-norm": 1, "both": -1},
            margin=0.05,
            why_margin="a twentieth of a nat is what a longer training easily makes up",
            published="Narang 2021: Fixup and ReZero train without it, to a worse loss",
            requires=[Beats("both")],
        ),
    ],
    probes=["layers", "samples"],
    core=True,
    removals={
        "residual connections": ("both", "no-residual"),
        "layer normalisation": ("both", "no-norm"),
    },
    why=(
        "A residual connection adds what a sublayer computes to its input, so the gradient of the "
        "sum has a path that no sublayer can shrink. A norm keeps the size of a sublayer's input "
        "the same whatever the layers below do."
    ),
    equation=r"x_{l+1} = x_l + f_l(\operatorname{norm}(x_l))",
    limits="All variants have the base's initialisation; another initialisation, made for a"
    " variant, may rescue it.",
)
