"""The recurrent baseline: an LSTM language model (Hochreiter 1997; Zaremba 2014)."""

from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig


class LSTM(nn.Module):
    """Token embedding, stacked LSTM layers of width d_model, language-model head.

    The state starts at zero in every sequence, so the LSTM sees the same context as the
    transformer. All weights but the embedding have PyTorch's default initialisation. Each layer is
    a module of its own, with dropout between: the dropout of a stack in one module draws from a
    random state of cuDNN's own, which no checkpoint holds.
    """

    cacheable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d_model, depth = config.d_model, config.n_layers
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.embedding = nn.Embedding(config.vocab_size, d_model)
        self.layers = nn.ModuleList(
            nn.LSTM(d_model, d_model, bias=config.bias, batch_first=True) for _ in range(depth)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(d_model, config.vocab_size, bias=False)
        # PyTorch's unit variance would give a tied head large logits, and so a large initial loss.
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time], the continuation of the tokens in the cache. Returns logits,
        [batch, time, vocab].
        """
        x = self.embedding(tokens)
        for layer in self.layers:
            state = None
            if cache is not None and layer in cache.kept:
                # The cache has the batch dimension first; nn.LSTM takes [1, batch, width].
                state = tuple(part.transpose(0, 1).contiguous() for part in cache.kept[layer])
            x, state = layer(self.dropout(x), state)
            if cache is not None:
                cache.kept[layer] = tuple(part.transpose(0, 1) for part in state)
        if cache is not None:
            cache.length += tokens.shape[1]
        return self.head(self.dropout(x))
