"""Which non-linearity should the feed-forward network have?"""

from experiments.ablation import Ablation, Beats, Claim, vary

ABLATION = Ablation(
    title="Activation",
    question="ReLU of the first transformer, GELU of BERT and GPT, or Llama's gated SwiGLU?",
    baseline="relu",
    variants=vary("activation", ["relu", "gelu", "swiglu"]),
    claims=[
        Claim(
            id="gelu",
            sentence="GELU beats ReLU.",
            said_by="practice notes",
            effect={"relu": 1, "gelu": -1},
            margin=0.005,
            why_margin="a third of the gap that Shazeer 2020 reports, 0.014 nats per word piece",
            published="Shazeer 2020, table 1: log-perplexity 1.997 (.005) with ReLU, 1.983 (.005)"
            " with GELU",
            requires=[Beats("relu"), Beats("gelu")],
        ),
        Claim(
            id="swiglu",
            sentence="SwiGLU beats GELU at equal parameters.",
            said_by="Shazeer 2020; lab notes",
            effect={"gelu": 1, "swiglu": -1},
            margin=0.005,
            why_margin="an eighth of the gap that Shazeer 2020 reports, 0.039 nats per word piece",
            published="Shazeer 2020, table 1: log-perplexity 1.983 (.005) with GELU, 1.944 (.010)"
            " with SwiGLU",
            requires=[Beats("gelu"), Beats("swiglu")],
        ),
    ],
    probes=["samples"],
    limits="A short training of a small network.",
)
