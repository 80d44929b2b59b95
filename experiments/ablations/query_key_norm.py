"""Does normalising queries and keys keep a training stable at high learning rates?"""

from experiments.ablation import Ablation, Beats, Claim, Times, Trains, Variant

QK = {"model.qk_norm": True}
HIGH_RATES = (4, 8, 16, 32, 64)  # times the base's


def at_high_rates(changes: dict[str, bool], name: str) -> list[Variant]:
    """A variant at each of the high rates."""
    return [
        Variant(f"{name}-{rate}x", changes | {"recipe.learning_rate": Times(rate)}, fixed_rate=True)
        for rate in HIGH_RATES
    ]


ABLATION = Ablation(
    title="Normalised queries and keys",
    question="Queries and keys are divided by their root mean square in each head. Does the network"
    " then train at rates at which it did not?",
    group="trainable",
    baseline="base",
    variants=[
        Variant("base"),
        Variant("qk-norm", QK),
        *at_high_rates({}, "base"),
        *at_high_rates(QK, "qk-norm"),
    ],
    claims=[
        Claim(
            id="qk-norm",
            sentence="At its best rate, a network with normalised queries and keys is no worse.",
            said_by="Dehghani 2023; Wortsman 2023",
            effect={"base": 1, "qk-norm": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            published="Henry 2020, five small translation corpora: 0.93 BLEU better",
            requires=[Beats("base"), Beats("qk-norm")],
        ),
        Claim(
            id="qk-norm-rates",
            sentence="With normalised queries and keys a network trains at more learning rates.",
            said_by="Dehghani 2023; Wortsman 2023",
            effect={
                f"{name}-{rate}x": sign / len(HIGH_RATES)
                for name, sign in (("qk-norm", 1), ("base", -1))
                for rate in HIGH_RATES
            },
            metric="trains",
            margin=0.5,
            why_margin="where normalising makes no difference, either network may train at more"
            " rates in half of the seeds",
            published="Wortsman 2023: with it, small networks reach a similar loss across orders of"
            " magnitude of the learning rate",
            requires=[Trains("base"), Trains("qk-norm")],
        ),
        Claim(
            id="qk-norm-high",
            sentence="At eight times the base's rate, normalised queries and keys lower the loss.",
            said_by="a reading of Wortsman 2023",
            effect={"base-8x": 1, "qk-norm-8x": -1},
            margin=0.05,
            why_margin="a twentieth of a nat is what a wrong rate costs elsewhere",
            requires=[Beats("base"), Beats("qk-norm")],
        ),
    ],
    budgets=[1, 16],
    why=(
        "Scores grow with the lengths of queries and keys, and large scores make attention pick "
        "one key, which has no gradient. Normalised, scores are bounded by the gains, whatever the "
        "rate does to the weights."
    ),
    equation=r"s_{ij} = \frac{1}{\sqrt{d_k}} \frac{q_i}{\mathrm{rms}(q_i)} \cdot"
    r" \frac{k_j}{\mathrm{rms}(k_j)}",
    limits="The instability was found in networks with thousands of features, whose scores grow"
    " more. A run trains if its loss ends a fifth of a nat below that of the letters' frequencies.",
)
