"""How should the learning rate change during training, and does it need a warm-up?"""

from experiments.ablation import Ablation, Beats, Claim, Variant, cross, vary

ABLATION = Ablation(
    title="Learning-rate schedule",
    question="Cosine, inverse square root or constant, each with and without a warm-up?",
    group="trainable",
    baseline="cosine",
    variants=cross(
        vary("schedule", ["cosine", "inverse_sqrt", "constant"]),
        [Variant(""), Variant("no-warmup", {"recipe.warmup_steps": 0})],
    ),
    claims=[
        Claim(
            id="warmup-pre",
            sentence="Warm-up matters in pre-LN too.",
            said_by="practice notes",
            effect={"cosine-no-warmup": 1, "cosine": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("cosine")],
        ),
        Claim(
            id="schedule",
            sentence="The inverse-square-root and the cosine schedule end close.",
            said_by="practice notes",
            effect={"inverse-sqrt": 1, "cosine": -1},
            margin=0.05,
            equal=True,
            why_margin="a twentieth of a nat is what a longer training easily makes up",
            requires=[Beats("cosine"), Beats("inverse-sqrt")],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    removals={
        "warm-up before a cosine": ("cosine", "cosine-no-warmup"),
    },
    why=(
        "A high rate crosses flat regions quickly, and a low rate at the end settles in a "
        "minimum. A warm-up keeps the first steps small while Adam knows little of the size of "
        "the gradients."
    ),
    equation=r"\eta_\text{cosine}(t) = \eta_{\max} \left( 0.1 + 0.45 \left( 1 +"
    r" \cos \frac{\pi (t - t_w)}{T - t_w} \right) \right), \qquad"
    r" \eta_\text{inverse sqrt}(t) = \eta_{\max} \sqrt{\frac{t_w}{t}}",
    limits="One pre-norm network. Without warm-up the inverse-square-root"
    " schedule starts at its peak and falls at once: after a hundred steps a tenth is left.",
)
