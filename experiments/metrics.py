"""What claims can be about: metrics of runs, costs that are measured apart, and identities."""

# What a claim can be about, and its unit: columns of the table `runs`, and the table `measures`.
METRICS = {
    "val_loss": "nats per character",
    "val_accuracy": "share of targets",
    "val_exact_match": "share of sequences",
    "tokens_per_second": "tokens per second",
    **{f"loss_beyond_{n}x": "nats per character" for n in (2, 4, 8)},
    "previous_excess": "attention weight",
    "first_excess": "attention weight",
    "induction_excess": "attention weight",
    "removable_heads": "share of heads",
    "last_layer_gradient": "norm",
    "attention_entropy": "nats",
    # of training until the worse of the compared runs' lowest validation losses is reached
    "seconds_to_loss": "seconds",
    "tokens_to_loss": "tokens",
    "flops_to_loss": "floating-point operations",
}

# What a claim can be about that was measured apart from any training, by `experiments/costs.py`:
# then `effect` weighs things of COSTS instead of variants.
COST_METRICS = {
    "time_exponent": "power of the length",
    "memory_exponent": "power of the length",
    "measured_seconds": "seconds",
}
COSTS = (
    "attention reference",
    "attention fused",
    "model reference",
    "model fused",
    "layernorm",
    "rmsnorm",
    "generation multi-head",
    "generation grouped",
    "generation multi-query",
)

# Those of both that are times, which no two studies have alike: nor all verdicts on them.
TIMED = ("tokens_per_second", "seconds_to_loss", "time_exponent", "measured_seconds")

# What `experiments/identities.py` checks.
IDENTITIES = (
    "permutation",
    "mask-place",
    "head-cost",
    "base-size",
    "base-size-untied",
    "score-variance",
    "kv-cache",
)
