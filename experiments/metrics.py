"""What claims can be about: metrics of runs, costs measured without training, and identities."""

# Metrics of runs, with their units: columns of the table `runs`, and measures of `measures`.
METRICS = {
    "val_loss": "nats per target",
    "val_loss_per_character": "nats per character",
    "val_accuracy": "share of targets",
    "val_exact_match": "share of sequences",
    # 1 for a run that ends a fifth of a nat below a guess by frequency, else 0.
    "trains": "share of runs",
    "tokens_per_second": "tokens per second",
    # Loss past the training length, and its rise over the loss within that length in the same text.
    **{f"loss_beyond_{n}x_per_character": "nats per character" for n in (2, 4, 8)},
    **{f"rise_beyond_{n}x_per_character": "nats per character" for n in (2, 4, 8)},
    # Loss over the second eighth of the positions, less that over the last quarter: what is gained
    # from contexts that are longer than the first eighth.
    "context_gain_per_character": "nats per character",
    # Steps to the first evaluation at which the accuracy is `SOLVED` or more; a step more than the
    # recipe has where it never is.
    "steps_to_solve": "steps",
    "previous_excess": "attention weight",
    "first_excess": "attention weight",
    "induction_excess": "attention weight",
    "removable_heads": "share of heads",
    # 1 for a run of which a fifth of the heads or more can be removed, else 0.
    "prunable": "share of runs",
    "last_layer_gradient": "norm",
    "attention_entropy": "nats",
    "initial_attention_entropy": "nats",  # of the untrained network
    # Entropy of the head that attends most broadly.
    "broadest_head": "share of the entropy of even attention",
    # Spent in training until the validation loss is as low as the final loss of the bigram of the
    # same seed and budget. Near the end of a training the schedule decides when a loss is reached.
    "seconds_to_loss": "seconds",
    "tokens_to_loss": "tokens",
    "flops_to_loss": "floating-point operations",
}

# Metrics of what a network has learnt, as opposed to its speed, its gradients and its heads.
LEARNT_METRICS = (
    "trains",
    "val_loss",
    "val_loss_per_character",
    "val_accuracy",
    "val_exact_match",
    *(f"{loss}_beyond_{n}x_per_character" for loss in ("loss", "rise") for n in (2, 4, 8)),
    "context_gain_per_character",
    "steps_to_solve",
    "seconds_to_loss",
    "tokens_to_loss",
    "flops_to_loss",
)

# Probes that measure a metric.
PROBE_OF = {
    **dict.fromkeys(
        [f"{loss}_beyond_{n}x_per_character" for loss in ("loss", "rise") for n in (2, 4, 8)],
        "lengths",
    ),
    "context_gain_per_character": "positions",
    "previous_excess": "heads",
    "first_excess": "heads",
    "induction_excess": "heads",
    "attention_entropy": "heads",
    "initial_attention_entropy": "heads",
    "broadest_head": "heads",
    "removable_heads": "pruning",
    "prunable": "pruning",
    "last_layer_gradient": "layers",
}

# Metrics that a claim compares seed by seed, counting the seeds: whether a network trains or solves
# its task has no mean that says anything.
COUNTED_METRICS = ("trains", "steps_to_solve", "prunable")

SOLVED = 0.95  # accuracy from which on a task counts as solved
PRUNABLE = 0.2  # share of heads that can be removed, from which on a network counts as prunable
TRAINS = 0.2  # nats per character below a guess by frequency, from which on a run trains

# Metrics of the table `costs`, with their units. A claim about one of them weighs entries of COSTS
# instead of variants.
COST_METRICS = {
    "time_exponent": "power of the length",
    "memory_exponent": "power of the length",
    "measured_seconds": "seconds",
}

# Metrics that are measured in blocks, at several times: a claim about one has a value per block
# instead of a value per seed, and no budget.
BLOCK_METRICS = (*COST_METRICS, "tokens_per_second")

# Metrics that need the speed of a training step, which blocks measure for every variant compared.
SPEED_METRICS = ("tokens_per_second", "seconds_to_loss")

BLOCKS = 5  # of a finished study

# Operations whose costs `experiments/benchmarks/costs.py` measures.
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

# Metrics that are times. Two studies never have equal values of them, and may differ in verdicts.
TIMED = ("tokens_per_second", "seconds_to_loss", "time_exponent", "measured_seconds")


def step_name(ablation: str, variant: str) -> str:
    """The name of a variant's training step in the table `costs`."""
    return f"step {ablation}/{variant}"


# Identities that `experiments/theory/checks.py` checks.
IDENTITIES = (
    "permutation",
    "mask-place",
    "head-cost",
    "base-size",
    "base-size-untied",
    "score-variance",
    "kv-cache",
)
