"""Where must the future be masked?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="Mask placement",
    question="What goes wrong when the future is set to zero after the softmax instead of to -inf"
    " before it?",
    group="order",
    baseline="before-softmax",
    variants=[
        Variant("before-softmax", {}),
        Variant("after-softmax", {"model.masking": "after_softmax"}, tuned_for="before-softmax"),
    ],
    claims=[
        Claim(
            id="mask-place",
            sentence="Masking after the softmax leaks the future and dilutes the past; masking"
            " before it does neither.",
            said_by="lab notes",
            check="mask-place",
        ),
        Claim(
            id="mask-place-loss",
            sentence="Masked after the softmax, a network learns to read the future.",
            said_by="lab notes",
            effect={"before-softmax": 1, "after-softmax": -1},
            margin=0.5,
            why_margin="half a nat below the loss of an honest network is not a better model, but"
            " a look at the future",
            restated="the rule had asked which of the two is the better language model, and was"
            " reversed after a look at one seed: a loss that sees the future cannot tell",
            requires=[Beats("before-softmax")],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    removals={
        "the mask before the softmax": ("before-softmax", "after-softmax"),
    },
    peeking=["after-softmax"],
    why=(
        "Minus infinity before the softmax gives the future a weight of zero in the numerator and "
        "in the sum. Zeros after the softmax leave the future in the sum, so each weight of the "
        "past tells something of the future."
    ),
    equation=r"a_{ij} = \frac{e^{s_{ij}}}{\sum_{k \le i} e^{s_{ik}}} \quad"
    r" \text{against} \quad a_{ij} = \frac{e^{s_{ij}}}{\sum_{k} e^{s_{ik}}}",
    limits="After the softmax, the weights of the past depend on the scores of the future through"
    " the sum that divides them, in training and in evaluation. The loss is that of a reader who"
    " sees the future, and no text could be generated at that loss.",
)
