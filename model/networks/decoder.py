"""The decoder-only transformer: a language model, or a classifier (Radford 2018, 2019)."""

from torch import Tensor

from model.cache import Cache
from model.config import ModelConfig
from model.initialisation import initialise
from model.networks.stack import Stack, head


class Decoder(Stack):
    """A causal stack with a language-model head or a classification head.

    The language-model head gives logits of the next token at each position. With `n_classes`, the
    classification head gives logits of the sequence's class, from the last position, where the
    caller puts a special token.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, causal=True)
        self.classifies = config.n_classes is not None
        self.cacheable = config.masking == "before_softmax"
        self.head = head(config)
        initialise(self, config)
        if config.tie_embeddings and not self.classifies:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time], the continuation of the tokens in the cache.

        Returns logits, [batch, time, vocab], or [batch, n_classes] of a classifier.

        Raises:
            ValueError: the sequence is longer than the positional encoding allows.
        """
        states = self.states(tokens, cache=cache)
        return self.head(states[:, -1] if self.classifies else states)
