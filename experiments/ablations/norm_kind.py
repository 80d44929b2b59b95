"""LayerNorm, or the cheaper RMSNorm?"""

from experiments.ablation import Ablation, Beats, Claim, vary

ABLATION = Ablation(
    title="LayerNorm and RMSNorm",
    question="Does a norm need to subtract the mean?",
    group="details",
    baseline="layernorm",
    variants=vary("norm", ["layernorm", "rmsnorm"]),
    claims=[
        Claim(
            id="rmsnorm",
            sentence="RMSNorm equals LayerNorm in quality.",
            said_by="Zhang & Sennrich 2019",
            effect={"rmsnorm": 1, "layernorm": -1},
            margin=0.02,
            equal=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("layernorm"), Beats("rmsnorm")],
        ),
        Claim(
            id="rmsnorm-speed",
            sentence="RMSNorm trains faster than LayerNorm.",
            said_by="Zhang & Sennrich 2019",
            effect={"rmsnorm": 1, "layernorm": -1},
            metric="tokens_per_second",
            log=True,
            margin=0.02,
            why_margin="two per cent of speed is what a careful timing can still tell apart",
            published="Zhang & Sennrich 2019: 7 to 64 % less run time, by network and framework",
        ),
        Claim(
            id="rmsnorm-layer",
            sentence="RMSNorm by itself, outside a network, is faster than LayerNorm.",
            said_by="Zhang & Sennrich 2019",
            effect={"layernorm": 1, "rmsnorm": -1},
            metric="measured_seconds",
            log=True,
            margin=0.02,
            why_margin="two per cent of speed is what a careful timing can still tell apart",
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    removals={
        "subtracting the mean (RMSNorm instead)": ("layernorm", "rmsnorm"),
    },
    why=(
        "RMSNorm divides by the root mean square and does not subtract the mean. If only the "
        "size of a sublayer's input matters, nothing is lost."
    ),
    equation=r"\operatorname{RMSNorm}(x) = \frac{x}{\sqrt{\frac{1}{d} \sum_i x_i^2}} \odot g",
    limits="Speed is that of this hardware and of PyTorch's own kernels, with one thread and"
    " nothing else running, for forward and backward pass together: on processors PyTorch composes"
    " the backward pass of RMSNorm of several operations.",
)
