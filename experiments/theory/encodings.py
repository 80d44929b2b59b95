"""Values of the positional encodings before training: the table "encodings"."""

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
    embedding_scale=True,  # with both, the sinusoids have the amplitude of their paper
)


def rows() -> list[dict[str, Any]]:
    """Return the table, a dict per row.

    Sinusoidal: what is added to the embedding of each position. RoPE: the score of a query and an
    identical key at each distance, over the score at distance 0. ALiBi: what is added to the score
    at each distance.
    """
    time, width = _CONFIG.context_length, _CONFIG.d_model
    sinusoids = POSITIONS["sinusoidal"](_CONFIG).embed(torch.zeros(1, time, width))
    ones = torch.ones(1, 1, time, _CONFIG.head_dim)
    q = k = POSITIONS["rope"](_CONFIG).rotate(ones)
    bias = POSITIONS["alibi"](_CONFIG).bias(1, time)
    assert bias is not None
    # The last query looks back. Flipped, the index of a key is its distance.
    values = {  # [dimensions or heads, positions or distances]
        "sinusoidal": sinusoids[0].T,
        "rope": (q[:, :, -1:] @ k.mT)[0, 0].flip(-1) / _CONFIG.head_dim,
        "alibi": bias[:, 0].flip(-1),
    }
    return [
        {"encoding": encoding, "part": part, "place": place, "value": value}
        for encoding, parts in values.items()
        for part, places in enumerate(parts.tolist())
        for place, value in enumerate(places)
    ]
