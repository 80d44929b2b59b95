"""Must every query head have keys and values of its own?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="Grouped queries",
    question="What does sharing keys and values among query heads cost?",
    group="attention",
    baseline="multi-head",
    variants=[
        Variant("multi-head"),
        Variant("grouped", {"model.n_kv_heads": 2}),
        Variant("multi-query", {"model.n_kv_heads": 1}),
        Variant(
            "multi-query-matched",
            {"model.n_kv_heads": 1},
            match_parameters="d_ff",
        ),
    ],
    claims=[
        Claim(
            id="gqa",
            sentence="Grouped-query attention keeps the quality.",
            said_by="Ainslie 2023; lab notes",
            effect={"multi-head": 1, "grouped": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            restated="a first rule asked for equality, which a better result would contradict",
            requires=[Beats("multi-head"), Beats("grouped")],
        ),
        Claim(
            id="mqa",
            sentence="One key and value head for all queries keeps the quality.",
            said_by="Shazeer 2019",
            effect={"multi-head": 1, "multi-query": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            restated="a first rule asked for equality, which a better result would contradict",
            requires=[Beats("multi-head"), Beats("multi-query")],
        ),
        Claim(
            id="gqa-cache",
            sentence="Grouped queries shrink the cache of keys and values as they shrink the number"
            " of its heads.",
            said_by="Ainslie 2023; lab notes",
            check="kv-cache",
        ),
        Claim(
            id="gqa-generation",
            sentence="One key and value head for all queries generates faster.",
            said_by="Shazeer 2019; Ainslie 2023",
            effect={"generation multi-head": 1, "generation multi-query": -1},
            metric="measured_seconds",
            log=True,
            margin=0.05,
            why_margin="five per cent of speed would not decide what to use",
            published="Ainslie 2023: about six times faster inference on TPUs, where the cache's"
            " memory traffic is what counts",
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    removals={
        "separate keys and values (one head instead)": ("multi-head", "multi-query"),
    },
    why=(
        "While generating, a network reads the stored keys and values again for each token, "
        "and reading them takes longer than computing with them. Query heads that share keys "
        "and values store and read less."
    ),
    equation=r"\text{numbers in the cache} = 2\, n\, L\, h_{kv}\, d_\text{head}",
    limits="Keeping the quality means being no worse. Sharing also removes parameters; one variant"
    " puts them back into the feed-forward network. Generation is timed for one short sequence on"
    " this hardware, where the cache is small.",
)
