"""Do deep stacks train without residual connections, or without layer normalisation?"""

from experiments.ablation import Ablation, Claim, Times, Variant

DEEP = {"model.n_layers": Times(2)}
NO_RESIDUAL = {"model.residual": False}
NO_NORM = {"model.norm_placement": "none"}

ABLATION = Ablation(
    title="Residual connections and layer normalisation",
    question="Which of the two lets a deep stack train, at the base's depth and at twice that?",
    baseline="both",
    variants=[
        Variant("both"),
        Variant("no-residual", NO_RESIDUAL),
        Variant("no-norm", NO_NORM),
        Variant("neither", NO_RESIDUAL | NO_NORM),
        Variant("deep-both", DEEP),
        Variant("deep-no-residual", DEEP | NO_RESIDUAL),
        Variant("deep-no-norm", DEEP | NO_NORM),
        Variant("deep-neither", DEEP | NO_RESIDUAL | NO_NORM),
    ],
    claims=[
        Claim(
            id="no-residual",
            sentence="Without residual connections deep stacks do not train.",
            said_by="course notes",
            effect={"deep-no-residual": 1, "deep-both": -1},
            margin=0.5,
            why_margin="a stack that does not train loses half a nat per character or more",
        ),
        Claim(
            id="no-norm",
            sentence="Without layer normalisation deep stacks do not train.",
            said_by="course notes",
            effect={"deep-no-norm": 1, "deep-both": -1},
            margin=0.5,
            why_margin="a stack that does not train loses half a nat per character or more",
            published="Narang 2021: Fixup and ReZero train without it, to a worse loss",
        ),
    ],
    probes=["layers"],
    core=True,
    limits="One initialisation (GPT-2's, its residual scaling left out where there is no residual)"
    " and one learning rate for all; an initialisation made for it may rescue a variant.",
)
