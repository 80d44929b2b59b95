"""From GPT-2's parts to Llama's: changes added one by one, and each taken away from the end."""

from experiments.ablation import Ablation, Beats, Claim, Variant

GPT2 = {
    "model.position": "learned",
    "model.norm": "layernorm",
    "model.activation": "gelu",
    "model.n_kv_heads": None,
}
ROPE = {"model.position": "rope"}
RMSNORM = {"model.norm": "rmsnorm"}
SWIGLU = {"model.activation": "swiglu"}
GROUPED = {"model.n_kv_heads": 2}
LLAMA = ROPE | RMSNORM | SWIGLU | GROUPED

ABLATION = Ablation(
    title="The modern set",
    question="Which of Llama's changes to GPT-2 does the work?",
    group="details",
    baseline="gpt2-set",
    variants=[
        Variant("gpt2-set", GPT2),
        Variant("+rope", GPT2 | ROPE),
        Variant("+rmsnorm", GPT2 | ROPE | RMSNORM, tuned_for="+rope"),
        Variant("+swiglu", GPT2 | ROPE | RMSNORM | SWIGLU, tuned_for="llama-set"),
        Variant("llama-set", LLAMA),
        Variant("llama-without-rope", LLAMA | {"model.position": "learned"}, tuned_for="gpt2-set"),
        Variant(
            "llama-without-rmsnorm", LLAMA | {"model.norm": "layernorm"}, tuned_for="llama-set"
        ),
        Variant(
            "llama-without-swiglu", LLAMA | {"model.activation": "gelu"}, tuned_for="llama-set"
        ),
    ],
    claims=[
        Claim(
            id="modern",
            sentence="The Llama set (RMSNorm, RoPE, SwiGLU, grouped queries) beats the GPT-2 set.",
            said_by="lab notes",
            effect={"gpt2-set": 1, "llama-set": -1},
            margin=0.0025,
            why_margin="half of the gap of the lab notes' single run",
            published_effect=0.005,
            published="a single run on Tiny Shakespeare: 1.4804 to 1.4754",
            requires=[Beats("gpt2-set"), Beats("llama-set")],
        ),
        Claim(
            id="modern-rope",
            sentence="Most of the Llama set's gain is RoPE's.",
            said_by="this study, before its runs",
            # RoPE's gain less half of the whole
            effect={"gpt2-set": 0.5, "+rope": -1, "llama-set": 0.5},
            margin=0.0025,
            why_margin="half of the gap of the lab notes' single run",
            requires=[
                Beats("gpt2-set"),
                Beats("+rope"),
                Beats("llama-set", "gpt2-set", by=0.005),
            ],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    why=(
        "Each of the changes was published with a gain of its own, mostly at a scale far above "
        "this one. Whether the gains add up is a question for the whole set and for the set "
        "without each."
    ),
    limits="The two sets and +rope have learning rates of their own; every other step has the rate"
    " of the one that has the same positions. Grouped queries are the last change, so +swiglu is"
    " the Llama set without them.",
)
