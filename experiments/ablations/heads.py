"""How many heads should share the width?"""

from experiments.ablation import Ablation, Beats, Claim, Variant, vary

CHARACTERS_PER_WORD_PIECE = 4.5  # about, in English text

ABLATION = Ablation(
    title="Number of heads",
    question="At equal parameters and equal matrix products, what does splitting attention gain?",
    group="attention",
    baseline="heads-1",
    variants=[
        *vary("n_heads", [1]),
        Variant("heads-2", {"model.n_heads": 2}, tuned_for="heads-4"),
        *vary("n_heads", [4]),
        Variant("heads-8", {"model.n_heads": 8}, tuned_for="heads-4"),
        *vary("n_heads", [16]),
    ],
    claims=[
        Claim(
            id="head-cost",
            sentence="Heads of size d/h cost together what one head of size d costs.",
            said_by="course notes",
            check="head-cost",
        ),
        Claim(
            id="head-cost-time",
            sentence="Many narrow heads take together as long as one wide head.",
            said_by="a reading of the course notes",
            effect={"heads-1": 1, "heads-16": -1},
            metric="tokens_per_second",
            log=True,
            equal=True,
            margin=0.05,
            why_margin="five per cent of speed would not decide what to use",
        ),
        Claim(
            id="heads",
            sentence="Several heads beat one at the same cost.",
            said_by="Vaswani 2017, table 3 (A)",
            effect={"heads-1": 1, "heads-4": -1},
            margin=0.01,
            why_margin="a little less than Vaswani's own gap from 1 to 4 heads, per character",
            published_effect=0.056
            / CHARACTERS_PER_WORD_PIECE,  # nats: the logarithm of 5.29 / 5.00
            published="Vaswani 2017, table 3 (A): perplexity 5.29 with 1 head, 5.00 with 4, 4.92"
            " with 8, 4.91 with 16, 5.01 with 32",
            requires=[Beats("heads-1"), Beats("heads-4")],
        ),
        Claim(
            id="heads-too-many",
            sentence="Too many heads hurt.",
            said_by="Vaswani 2017, table 3 (A)",
            effect={"heads-16": 1, "heads-4": -1},
            margin=0.01,
            why_margin="a little less than Vaswani's own gap from 1 to 4 heads, per character",
            published="Vaswani 2017, table 3 (A): perplexity 4.91 with 16 heads, 5.01 with 32",
            requires=[Beats("heads-4")],
        ),
    ],
    probes=["heads", "samples"],
    core=True,
    removals={
        "several heads (one wide head instead)": ("heads-4", "heads-1"),
    },
    why=(
        "A softmax gives one weighted mean, so one head averages what it attends to. Several "
        "heads attend to several places at once, each in a part of the width, for the same matrix "
        "products."
    ),
    equation=r"h \cdot n^2 \cdot \frac{d}{h} = n^2 d",
    limits="The width stays the same, so many heads are narrow heads, and RoPE has fewer"
    " frequencies in a narrow head. No claim is about 2 and 8 heads: they have the rate of 4.",
)
