"""At which learning rates do stacks train, by the place of the norm and with or without warm-up?"""

from typing import Any

from experiments.ablation import Ablation, Claim, Times, Trains, Variant

STACKS: dict[str, dict[str, Any]] = {
    "pre": {"model.norm_placement": "pre"},
    "none": {"model.norm_placement": "none"},
    "post": {"model.norm_placement": "post"},
    "pre-no-warmup": {"model.norm_placement": "pre", "recipe.warmup_steps": 0},
    "post-no-warmup": {"model.norm_placement": "post", "recipe.warmup_steps": 0},
}
RATES = (0.25, 0.5, 1, 2, 4, 8)  # times the base's


def over_rates(better: str, worse: str) -> dict[str, float]:
    """The mean over all rates of one stack, less that of another."""
    share = 1 / len(RATES)
    return {
        f"{stack}-{rate:g}x": sign * share
        for stack, sign in ((better, 1), (worse, -1))
        for rate in RATES
    }


ABLATION = Ablation(
    title="Learning rates that train",
    question="Norms and warm-up are said to make training robust. From a quarter of the base's"
    " learning rate to eight times that rate: where does each stack train, and to what loss?",
    group="trainable",
    baseline="pre-1x",
    variants=[
        Variant(
            f"{stack}-{rate:g}x",
            changes | {"recipe.learning_rate": Times(rate)},
            fixed_rate=True,
        )
        for stack, changes in STACKS.items()
        for rate in RATES
    ],
    claims=[
        Claim(
            id="norm-rates",
            sentence="With layer normalisation a network trains at more learning rates.",
            said_by="course notes; Ba 2016",
            effect=over_rates("pre", "none"),
            metric="trains",
            margin=0.5,
            why_margin="where the norm makes no difference, either stack may train at more rates in"
            " half of the seeds",
            requires=[Trains("pre-1x")],
        ),
        Claim(
            id="pre-post-rates",
            sentence="Without warm-up, pre-LN trains at more learning rates than post-LN.",
            said_by="Xiong 2020",
            effect=over_rates("pre-no-warmup", "post-no-warmup"),
            metric="trains",
            margin=0.5,
            why_margin="where the norm makes no difference, either stack may train at more rates in"
            " half of the seeds",
            published="Xiong 2020, IWSLT14: post-LN 8.45 BLEU without warm-up and about 34 with;"
            " pre-LN about 34 without",
            requires=[Trains("pre-no-warmup-1x")],
        ),
        Claim(
            id="warmup-rates",
            sentence="With warm-up, post-LN trains at more learning rates.",
            said_by="Vaswani 2017; Xiong 2020",
            effect=over_rates("post", "post-no-warmup"),
            metric="trains",
            margin=0.5,
            why_margin="where the norm makes no difference, either stack may train at more rates in"
            " half of the seeds",
            requires=[Trains("post-0.5x")],
        ),
    ],
    why=(
        "A step of Adam moves every weight by about the learning rate, whatever the size of its "
        "gradient. A norm bounds what such a step changes in the output, so that larger rates "
        "still train."
    ),
    equation=r"\Delta w = -\eta\, \frac{\hat m}{\sqrt{\hat v} + \epsilon}",
    limits="A run trains if its loss ends a fifth of a nat below that of the letters' frequencies."
    " A wider range of rates would count more of those at which every stack trains, or none.",
)
