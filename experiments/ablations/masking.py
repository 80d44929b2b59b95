"""Where must the future be masked?"""

from experiments.ablation import Ablation, Claim, Variant

WRITTEN_OUT = {"model.attention": "reference"}

ABLATION = Ablation(
    title="Mask placement",
    question="What goes wrong when the future is set to zero after the softmax instead of to -inf"
    " before it?",
    baseline="before-softmax",
    variants=[
        Variant("before-softmax", WRITTEN_OUT),
        Variant("after-softmax", WRITTEN_OUT | {"model.masking": "after_softmax"}),
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
            why_margin="half a nat below what an honest network reaches is no better model, but a"
            " peek",
        ),
    ],
    probes=["samples"],
    limits="The weights of the past depend on the scores of the future through their sum, when the"
    " network is trained and when it is judged: its loss is that of a reader who peeks, and no"
    " text could be written at that loss. The rule was turned round after a first look at one"
    " seed: it had asked which of the two is the better language model, which such a loss cannot"
    " say.",
)
