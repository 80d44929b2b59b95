"""Norm before or after the sublayer, with and without warm-up."""

from experiments.ablation import Ablation, Claim, Times, Variant

DEEP = {"model.n_layers": Times(2)}
POST = {"model.norm_placement": "post"}
PRE = {"model.norm_placement": "pre"}
# Xiong's theorem is about Xavier's weights and embeddings of unit size. GPT-2's are small, which
# the last norm of a pre-norm network makes up for, and its gradients with them.
PAPER = DEEP | {"model.initialisation": "xavier", "model.embedding_scale": True}
NO_WARMUP = {"recipe.warmup_steps": 0}

ABLATION = Ablation(
    title="Norm placement and warm-up",
    question="Does post-LN, the original placement, need the warm-up that pre-LN can do without?",
    baseline="pre",
    variants=[
        Variant("pre", PRE),
        Variant("pre-no-warmup", PRE | NO_WARMUP),
        Variant("post", POST),
        Variant("post-no-warmup", POST | NO_WARMUP),
        Variant("deep-pre", PRE | DEEP),
        Variant("deep-pre-no-warmup", PRE | DEEP | NO_WARMUP),
        Variant("deep-post", POST | DEEP),
        Variant("deep-post-no-warmup", POST | DEEP | NO_WARMUP),
        Variant("deep-pre-xavier", PRE | PAPER),
        Variant("deep-post-xavier", POST | PAPER),
    ],
    claims=[
        Claim(
            id="pre-post",
            sentence="Pre-LN trains without warm-up where post-LN fails.",
            said_by="Xiong 2020",
            effect={"post-no-warmup": 1, "post": -1, "pre-no-warmup": -1, "pre": 1},
            margin=0.2,
            why_margin="dropping the warm-up must cost post-LN a fifth of a nat per character more"
            " than it costs pre-LN",
            published="Xiong 2020, IWSLT14: post-LN 8.45 BLEU without warm-up and about 34 with;"
            " pre-LN about 34 without",
        ),
        Claim(
            id="gradient-scale",
            sentence="At initialisation, gradients near the output are larger in post-LN than in"
            " pre-LN.",
            said_by="Xiong 2020, theorem 1",
            effect={"deep-post-xavier": 1, "deep-pre-xavier": -1},
            metric="last_layer_gradient",
            log=True,
            margin=0.5,
            why_margin="half as large again, at least, is what a warm-up would have to tame",
            published="Xiong 2020: of order sqrt(ln d) for post-LN, smaller by sqrt(layers) for"
            " pre-LN",
        ),
    ],
    probes=["layers"],
    core=True,
    limits="The claim on gradients is about the theorem's own setting: a smoke run showed that with"
    " small embeddings the order is the other way round, and two variants were added for it. "
    "One learning rate and one length of warm-up for all; at a lower rate post-LN may not"
    " need the warm-up, and a deep post-LN stack may need a longer one.",
)
