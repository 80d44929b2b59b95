"""Default values that are no part of a run's identity.

A new field, or a new default of an old one, therefore changes no run id.
"""

from typing import Any

# Values that an identity leaves out: the defaults of the time when each field was added. So a new
# field changes the id of no run that does not use the field, and a default that changes later
# changes no id either: the new default is written out. Fields without a default have no entry.
LEFT_OUT: dict[str, dict[str, Any]] = {
    "model": {
        "family": "decoder",
        "position": "rope",
        "norm": "layernorm",
        "norm_placement": "pre",
        "residual": True,
        "activation": "gelu",
        "attention": "auto",
        "attention_scale": True,
        "masking": "before_softmax",
        "initialisation": "gpt2",
        "embedding_scale": False,
        "tie_embeddings": True,
        "dropout": 0.0,
        "bias": True,
        "n_classes": None,
        "mlp_window": 8,
        "bigram_smoothing": 1.0,
        # n_kv_heads is left out where it equals n_heads.
    },
    "recipe": {
        "task": "language",
        "precision": "fp32",
        "compiled": False,
        "final_learning_rate_ratio": 0.1,
        "schedule": "cosine",
        "label_smoothing": 0.0,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.99,
        "epsilon": 1e-8,
        "gradient_clip": 1.0,
        "log_every": 10,
    },
}


def without(values: dict[str, Any], left_out: dict[str, Any]) -> dict[str, Any]:
    """The values that differ from those of `left_out`."""
    return {
        name: value
        for name, value in values.items()
        if name not in left_out or value != left_out[name]
    }
