"""Deeper or wider, for the same tokens and for the same arithmetic."""

from experiments.ablation import Ablation, Beats, Claim, SeesTokens, Times, Variant

DEEP = {"model.n_layers": Times(2)}
WIDE = {"model.d_model": Times(2), "model.d_ff": Times(2), "model.n_heads": Times(2)}

ABLATION = Ablation(
    title="Depth and width",
    question="What is gained by twice the layers or twice the width, at equal tokens and at equal"
    " arithmetic?",
    group="others",
    baseline="base",
    variants=[
        Variant("base"),
        Variant("deep", DEEP),
        Variant("wide", WIDE),
        Variant("deep-equal-flops", DEEP, match_flops=True, tuned_for="deep"),
        Variant("wide-equal-flops", WIDE, match_flops=True, tuned_for="wide"),
    ],
    claims=[
        Claim(
            id="base-size",
            sentence="The base encoder-decoder with one shared embedding of 37,000 word pieces has"
            " about 65 million parameters.",
            said_by="Vaswani 2017, table 3",
            check="base-size",
            published="Vaswani 2017, table 3: 65M",
        ),
        Claim(
            id="base-size-untied",
            sentence="The base encoder-decoder with 32,000 + 32,000 untied embeddings has about 65"
            " million parameters.",
            said_by="course notes",
            check="base-size-untied",
        ),
        Claim(
            id="depth",
            sentence="Doubling the layers lowers the loss.",
            said_by="practice notes; Kaplan 2020",
            effect={"base": 1, "deep": -1},
            margin=0.03,
            why_margin="a learning rate chosen from powers of two costs up to about 0.02 nats",
            restated="the margin was 0.01, less than the error of the learning rates",
            requires=[Beats("base"), Beats("deep")],
        ),
        Claim(
            id="width",
            sentence="Doubling the width lowers the loss.",
            said_by="practice notes; Kaplan 2020",
            effect={"base": 1, "wide": -1},
            margin=0.03,
            why_margin="a learning rate chosen from powers of two costs up to about 0.02 nats",
            restated="the margin was 0.01, less than the error of the learning rates",
            requires=[Beats("base"), Beats("wide")],
        ),
        Claim(
            id="depth-compute",
            sentence="At twenty tokens a parameter, doubling the layers lowers the loss at equal"
            " arithmetic too.",
            said_by="a reading of Kaplan 2020",
            effect={"base": 1, "deep-equal-flops": -1},
            margin=0.03,
            why_margin="a learning rate chosen from powers of two costs up to about 0.02 nats",
            published="Hoffmann 2022: about twenty tokens a parameter are best, so that a larger"
            " network should gain nothing there",
            restated="the claim was tested at about one token a parameter, where the smaller"
            " network wins whatever its shape",
            requires=[
                SeesTokens("base"),
                Beats("base"),
                Beats("deep-equal-flops"),
            ],
        ),
        Claim(
            id="width-compute",
            sentence="At twenty tokens a parameter, doubling the width lowers the loss at equal"
            " arithmetic too.",
            said_by="a reading of Kaplan 2020",
            effect={"base": 1, "wide-equal-flops": -1},
            margin=0.03,
            why_margin="a learning rate chosen from powers of two costs up to about 0.02 nats",
            published="Hoffmann 2022: about twenty tokens a parameter are best, so that a larger"
            " network should gain nothing there",
            restated="the claim was tested at about one token a parameter, where the smaller"
            " network wins whatever its shape",
            requires=[
                SeesTokens("base"),
                Beats("base"),
                Beats("wide-equal-flops"),
            ],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    why=(
        "Kaplan 2020 finds the loss to fall with the number of parameters, nearly "
        "independently of the shape. At equal arithmetic a larger network sees less text, and "
        "Hoffmann 2022 finds about twenty tokens per parameter to be best."
    ),
    equation=r"C \approx 6 N D \quad \text{(operations, parameters, tokens)}",
    limits="The learning rates are chosen at equal tokens. Equal arithmetic means fewer steps of"
    " the same batch, with the schedule compressed.",
)
