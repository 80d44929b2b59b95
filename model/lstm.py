"""The recurrent baseline: an LSTM language model (Hochreiter 1997; Zaremba 2014)."""

from torch import Tensor, nn

from model.config import ModelConfig


class LSTM(nn.Module):
    """Token embedding, stacked LSTM layers of width d_model, language-model head.

    The state starts at zero with every sequence, so it sees exactly the context that the
    transformer sees. Initialised as PyTorch does, but for the embedding: see the comment.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d_model, depth = config.d_model, config.n_layers
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

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [batch, time]. Returns [batch, time, vocab]."""
        states, _ = self.lstm(self.dropout(self.embedding(tokens)))
        logits: Tensor = self.head(self.dropout(states))
        return logits
