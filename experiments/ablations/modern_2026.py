"""The set that people mean in 2026, and the set without each of its parts."""

from experiments.ablation import Ablation, Beats, Claim, Variant, without_each

LAYERNORM = {"model.norm": "layernorm"}
LLAMA = {
    "model.norm": "rmsnorm",
    "model.activation": "swiglu",
    "model.n_kv_heads": 2,
}
# Beyond Llama's set: queries and keys normalised (Qwen3, OLMo 2), no biases, a cap of the logits
# (Gemma 2, nanochat), and Muon (Kimi K2, GLM 4.5).
SET_2026 = Variant(
    "set-2026",
    LLAMA
    | {
        "model.qk_norm": True,
        "model.bias": False,
        "model.logit_cap": 15.0,
        "recipe.optimizer": "muon",
    },
)

ABLATION = Ablation(
    title="The set of 2026",
    question="Which of the parts that were added to Llama's set since 2023 does the work?",
    group="details",
    section="The modern set",
    baseline="llama-set",
    variants=[
        Variant("llama-set", LLAMA),
        *(
            # Weighed by claims, or at the rate of the whole set.
            variant
            if variant.name in ("set-2026", "set-2026-without-muon")
            else Variant(variant.name, variant.changes, tuned_for="set-2026")
            for variant in without_each(SET_2026, LAYERNORM | {"model.n_kv_heads": None})
        ),
    ],
    claims=[
        Claim(
            id="modern-2026",
            sentence="The set of 2026 (normalised queries and keys, no biases, capped logits, Muon)"
            " beats the Llama set.",
            said_by="practice, as in nanochat and Kimi K2",
            effect={"llama-set": 1, "set-2026": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("llama-set"), Beats("set-2026")],
        ),
        Claim(
            id="modern-2026-muon",
            sentence="Most of this gain is Muon's.",
            said_by="this study, before its runs",
            # Muon's gain less half of the whole
            effect={"llama-set": -0.5, "set-2026-without-muon": 1, "set-2026": -0.5},
            margin=0.01,
            why_margin="half of the margin of the whole set",
            requires=[
                Beats("llama-set"),
                Beats("set-2026-without-muon"),
                Beats("set-2026", "llama-set", by=0.02),
            ],
        ),
    ],
    budgets=[1, 16],
    why=(
        "The parts were added for trainings at scale: for stable scores, for simpler layers, for "
        "logits that stay bounded, and for fewer tokens. At this size the last can matter most."
    ),
    limits="Llama's parts are RMSNorm, SwiGLU, RoPE and grouped queries. The set without"
    " a part has the rate of the whole set, except without Muon.",
)
