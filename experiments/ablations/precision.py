"""Does training in bfloat16 change the results?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

FP32 = {"recipe.precision": "fp32"}
BF16 = {"recipe.precision": "bf16"}

ABLATION = Ablation(
    title="Precision",
    question="Matrix products in bfloat16, weights and their sums in float32: what does it cost in"
    " loss, and what does it gain in speed?",
    group="details",
    baseline="fp32",
    core=True,  # any difference is small, so more seeds are needed
    budgets=[1],  # a longer training asks the same question
    variants=[Variant("fp32", FP32), Variant("bf16", BF16, tuned_for="fp32")],
    claims=[
        Claim(
            id="precision",
            sentence="Training in bfloat16 ends at the same loss.",
            said_by="practice notes; Kalamkar 2019",
            effect={"bf16": 1, "fp32": -1},
            equal=True,
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            published="Kalamkar 2019: no loss of accuracy in any network tried",
            requires=[Beats("fp32"), Beats("bf16")],
        ),
        Claim(
            id="precision-speed",
            sentence="Training in bfloat16 is faster.",
            said_by="practice notes",
            effect={"bf16": 1, "fp32": -1},
            metric="tokens_per_second",
            log=True,
            margin=0.05,
            why_margin="five per cent of speed would not decide what to use",
        ),
    ],
    removals={
        "float32 (bfloat16 instead)": ("fp32", "bf16"),
    },
    why=(
        "bfloat16 has the range of float32 and 8 significant bits, so it overflows no sooner, "
        "and rounding changes a number by up to 0.4 %. Weights and sums stay in float32, so "
        "small updates are not lost."
    ),
    limits="Both have the learning rate that is best in float32. Small networks spend little of"
    " their time in matrix products. Autocast keeps sensitive operations in float32.",
)
