"""What positional encodings do to a network, in numbers to be drawn: the table "encodings"."""

from typing import Any

import torch

from model import ModelConfig
from model.position import POSITIONS

_CONFIG = ModelConfig(
    vocab_size=2,
    context_length=64,
    d_model=64,
    n_layers=1,
    n_heads=4,
    d_ff=64,
    initialisation="xavier",
    embedding_scale=True,  # then the sinusoids are as in their paper
)


def rows() -> list[dict[str, Any]]:
    """The table, a dict per row: what is added to embeddings, what becomes of the score between a
    query and a key that are alike, and what is added to scores.
    """
    time, width = _CONFIG.context_length, _CONFIG.d_model
    found: dict[str, torch.Tensor] = {  # [dimensions or heads, places]
        "sinusoidal": POSITIONS["sinusoidal"](_CONFIG).embed(torch.zeros(1, time, width))[0].T
    }
    alike = torch.ones(1, 1, time, _CONFIG.head_dim)
    q, k = POSITIONS["rope"](_CONFIG).rotate(alike, alike)
    # the last query looks back: flipped, a key's place is its distance
    found["rope"] = (q[:, :, -1:] @ k.mT)[0, 0].flip(-1) / _CONFIG.head_dim
    bias = POSITIONS["alibi"](_CONFIG).bias(1, time)
    assert bias is not None
    found["alibi"] = bias[:, 0].flip(-1)
    return [
        {"encoding": encoding, "part": part, "place": place, "value": value}
        for encoding, parts in found.items()
        for part, values in enumerate(parts.tolist())
        for place, value in enumerate(values)
    ]
