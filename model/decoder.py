"""The decoder-only language model (Radford 2018, 2019)."""

from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.initialisation import INITIALISATIONS
from model.stack import Stack


class Decoder(Stack):
    """A causal stack and a language-model head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, causal=True)
        self.cacheable = config.masking == "before_softmax"
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        INITIALISATIONS[config.initialisation](self, config)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time], the continuation of what the cache holds. Returns logits of the
        token after each, [batch, time, vocab].

        Raises:
            ValueError: the sequence is longer than the positional encoding knows.
        """
        logits: Tensor = self.head(self.states(tokens, cache=cache))
        return logits
