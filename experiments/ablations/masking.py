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
            sentence="Masking after the softmax makes a worse language model.",
            said_by="lab notes",
            effect={"after-softmax": 1, "before-softmax": -1},
            margin=0.01,
            why_margin="a hundredth of a nat is one per cent of perplexity",
        ),
    ],
    limits="Weights masked after the softmax depend on the future through their sum, when the"
    " network is trained and when it is judged: its loss is that of a reader who peeks, and no"
    " text could be written with it at that loss.",
)
