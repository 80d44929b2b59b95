"""The recurrent baseline: an LSTM language model (Hochreiter 1997; Zaremba 2014)."""

from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig


class LSTM(nn.Module):
    """Token embedding, stacked LSTM layers of width d_model, language-model head.

    The state starts at zero with every sequence, so it sees exactly the context that the
    transformer sees. Initialised as PyTorch does, but for the embedding: see the comment.
    """

    cacheable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d_model, depth = config.d_model, config.n_layers
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.embedding = nn.Embedding(config.vocab_size, d_model)
        self.lstm = nn.LSTM(
            d_model, d_model, depth, bias=config.bias, batch_first=True,
            dropout=config.dropout if depth > 1 else 0.0,
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(d_model, config.vocab_size, bias=False)
        # A tied matrix is also the head: unit variance there would start with confident nonsense.
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time], the continuation of what the cache holds. Returns [batch, time,
        vocab].
        """
        x, state = self.dropout(self.embedding(tokens)), None
        if cache is not None and self in cache.kept:
            # kept with the batch first; nn.LSTM wants [layers, batch, width]
            state = tuple(part.transpose(0, 1).contiguous() for part in cache.kept[self])
        states, state = self.lstm(x, state)
        if cache is not None:
            cache.kept[self] = tuple(part.transpose(0, 1) for part in state)
            cache.length += tokens.shape[1]
        logits: Tensor = self.head(self.dropout(states))
        return logits
