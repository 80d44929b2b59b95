"""What the placement of the norm does to gradients before any training."""

from experiments.ablation import Ablation, Claim, Times, Variant

# Xiong's theorem assumes Xavier weights and embeddings of unit size. GPT-2's embeddings are small;
# the last norm of a pre-norm network scales them up, and the gradients with them. The gradients are
# measured before the first step, so the networks train for only one step.
UNTRAINED = {
    "model.initialisation": "xavier",
    "model.embedding_scale": True,
    "recipe.steps": 1,
    "recipe.warmup_steps": 0,
    "recipe.learning_rate": Times(0.01),
    "recipe.eval_windows": 8,
}
PRE = UNTRAINED | {"model.norm_placement": "pre"}
POST = UNTRAINED | {"model.norm_placement": "post"}
DEEP = {"model.n_layers": Times(2)}
DEEPEST = {"model.n_layers": Times(6)}

ABLATION = Ablation(
    title="Gradients at initialisation",
    question="How large are the gradients of an untrained stack, layer by layer, with the norm"
    " before or after the sublayer?",
    group="trainable",
    section="Norm placement, warm-up and gradients",
    baseline="pre",
    variants=[
        Variant("pre", PRE),
        Variant("pre-deep", PRE | DEEP),
        Variant("pre-deepest", PRE | DEEPEST),
        Variant("post", POST),
        Variant("post-deep", POST | DEEP),
        Variant("post-deepest", POST | DEEPEST),
    ],
    claims=[
        Claim(
            id="gradient-scale",
            sentence="At initialisation, gradients near the output are larger in post-LN than in"
            " pre-LN.",
            said_by="Xiong 2020, theorem 1",
            effect={"post-deepest": 1, "pre-deepest": -1},
            metric="last_layer_gradient",
            log=True,
            margin=0.5,
            why_margin="a warm-up would have to tame gradients that are at least half as large"
            " again",
            published="Xiong 2020: of order sqrt(ln d) for post-LN, smaller by sqrt(layers) for"
            " pre-LN",
        ),
        Claim(
            id="gradient-depth-pre",
            sentence="At initialisation, pre-LN's gradients near the output shrink with depth.",
            said_by="Xiong 2020, theorem 1",
            effect={"pre": 1, "pre-deepest": -1},
            metric="last_layer_gradient",
            log=True,
            margin=0.5,
            why_margin="six times the layers should shrink them by sqrt(6), about 2.4; half of that"
            " on a logarithmic scale is 1.5",
            published="Xiong 2020: as one over sqrt(layers)",
        ),
        Claim(
            id="gradient-depth-post",
            sentence="At initialisation, post-LN's gradients near the output do not depend on"
            " depth.",
            said_by="Xiong 2020, theorem 1",
            effect={"post": 1, "post-deepest": -1},
            metric="last_layer_gradient",
            log=True,
            equal=True,
            margin=0.5,
            why_margin="six times the layers should shrink them by sqrt(6), about 2.4; half of that"
            " on a logarithmic scale is 1.5",
        ),
    ],
    probes=["layers"],
    core=True,
    budgets=[1],  # nothing is trained
    why=(
        "Xiong 2020 bounds the gradient of the last layer at initialisation. With the norm "
        "after the sum the bound does not depend on the depth, and with the norm before the "
        "sublayer it shrinks as the depth grows."
    ),
    equation=r"\lVert \nabla_{W_L} \rVert_\text{post} \le O\!\left(d \sqrt{\ln d}\right), \qquad"
    r" \lVert \nabla_{W_L} \rVert_\text{pre} \le O\!\left(d \sqrt{\ln d / L}\right)",
    limits="As in the theorem, weights are Xavier's and embeddings have unit size; unlike there,"
    " the network has several heads, positions and GELU. A pilot with GPT-2's small embeddings saw"
    " the opposite order. The losses are those of untrained networks and mean nothing.",
)
