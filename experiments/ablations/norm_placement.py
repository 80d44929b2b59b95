"""Norm before or after the sublayer, with and without warm-up."""

from experiments.ablation import Ablation, Claim, Variant

PRE = {"model.norm_placement": "pre"}
POST = {"model.norm_placement": "post"}
NO_WARMUP = {"recipe.warmup_steps": 0}

ABLATION = Ablation(
    title="Norm placement and warm-up",
    question="Does post-LN, the original placement, need the warm-up that pre-LN can do without?",
    baseline="pre",
    variants=[
        Variant("pre", PRE),
        Variant("post", POST),
        Variant("pre-no-warmup", PRE | NO_WARMUP),
        Variant("post-no-warmup", POST | NO_WARMUP),
        Variant("pre-own-rate", PRE, tuned_for="pre"),
        Variant("post-own-rate", POST, tuned_for="post"),
        Variant("pre-dropped-warmup", PRE | NO_WARMUP, tuned_for="pre"),
        Variant("post-dropped-warmup", POST | NO_WARMUP, tuned_for="post"),
        Variant("pre-no-warmup-own-rate", PRE | NO_WARMUP, tuned_for="pre-no-warmup"),
        Variant("post-no-warmup-own-rate", POST | NO_WARMUP, tuned_for="post-no-warmup"),
    ],
    claims=[
        Claim(
            id="pre-post",
            sentence="Pre-LN trains without warm-up where post-LN fails.",
            said_by="Xiong 2020",
            effect={
                "post-dropped-warmup": 1,
                "post-own-rate": -1,
                "pre-dropped-warmup": -1,
                "pre-own-rate": 1,
            },
            margin=0.2,
            why_margin="at the rate that is best with a warm-up, dropping it must cost post-LN a"
            " fifth of a nat per character more than it costs pre-LN",
            published="Xiong 2020, IWSLT14: post-LN 8.45 BLEU without warm-up and about 34 with;"
            " pre-LN about 34 without",
        ),
        Claim(
            id="pre-post-own-rate",
            sentence="Pre-LN trains without warm-up where post-LN fails, even when each has the"
            " learning rate that is best for it without warm-up.",
            said_by="a reading of Xiong 2020",
            effect={
                "post-no-warmup-own-rate": 1,
                "post-own-rate": -1,
                "pre-no-warmup-own-rate": -1,
                "pre-own-rate": 1,
            },
            margin=0.2,
            why_margin="as for the rate that is best with a warm-up",
        ),
    ],
    probes=["layers", "samples"],
    core=True,
    limits="One length of warm-up, a tenth of the training. The first four variants share the"
    " base's learning rate, at which post-LN may fail with or without warm-up.",
)
