"""The question of norm_placement, for a stack twice as deep."""

from experiments.ablation import Ablation, Beats, Claim, Times, Trains, Variant

# Half the batch makes up for twice the layers. With half the steps as well, post-LN did not train
# at any learning rate, and nothing could be said about its warm-up.
DEEP = {"model.n_layers": Times(2), "recipe.batch_size": Times(0.5)}
PRE = DEEP | {"model.norm_placement": "pre"}
POST = DEEP | {"model.norm_placement": "post"}
NO_WARMUP = {"recipe.warmup_steps": 0}

ABLATION = Ablation(
    title="Norm placement and warm-up in a deep stack",
    question="Does a stack of twice the layers make the placement matter more?",
    group="trainable",
    section="Norm placement, warm-up and gradients",
    baseline="pre",
    variants=[
        Variant("pre", PRE),
        Variant("post", POST),
        Variant("pre-no-warmup", PRE | NO_WARMUP, tuned_for="pre"),
        Variant("post-no-warmup", POST | NO_WARMUP, tuned_for="post"),
    ],
    claims=[
        Claim(
            id="pre-post-deep",
            sentence="In a deep stack, pre-LN trains without warm-up where post-LN fails.",
            said_by="Xiong 2020",
            effect={"pre-no-warmup": 1, "post-no-warmup": -1},
            metric="trains",
            margin=0.25,
            why_margin="a recipe that fails in a quarter of its seeds cannot be relied on",
            published="Xiong 2020, IWSLT14: post-LN 8.45 BLEU without warm-up and about 34 with;"
            " pre-LN about 34 without",
            requires=[Trains("pre"), Trains("post")],
        ),
        Claim(
            id="pre-post-deep-own-rate",
            sentence="A deep stack learns more with pre-LN than with post-LN, each at its best.",
            said_by="practice notes",
            effect={"post": 1, "pre": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("pre"), Trains("post")],
        ),
    ],
    budgets=[1, 16],
    why=(
        "Each post-LN layer multiplies the gradient of the layers below by a factor. The "
        "factors multiply, so the effect of the placement should be exponential in the depth."
    ),
    limits="Half of the base's tokens, to make up for the layers; in a longer training the"
    " difference may be smaller or larger. A quarter of the tokens was tried first, with which"
    " post-LN did not train at any learning rate.",
)
