"""Should a network be kept from becoming too certain?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="Label smoothing",
    question="What does spreading a tenth of the target over all characters do to perplexity?",
    group="details",
    baseline="none",
    variants=[
        Variant("none", {"recipe.label_smoothing": 0.0}),
        Variant("smoothing-0.1", {"recipe.label_smoothing": 0.1}),
    ],
    claims=[
        Claim(
            id="smoothing",
            sentence="Label smoothing hurts perplexity.",
            said_by="Vaswani 2017, section 5.4",
            effect={"smoothing-0.1": 1, "none": -1},
            margin=0.01,
            why_margin="a hundredth of a nat is one per cent of perplexity",
            published="Vaswani 2017 gives no number for the loss; BLEU improved",
            requires=[Beats("none")],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    why=(
        "A smoothed target asks for a probability below one, so the network that fits it best is "
        "less certain than the data. Perplexity counts certainty, so it should suffer where "
        "accuracy does not."
    ),
    equation=r"y' = (1 - \epsilon)\, y + \frac{\epsilon}{V}",
    limits="Only perplexity is judged, and not accuracy and calibration, which smoothing is for.",
)
