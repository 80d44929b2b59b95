"""The encoder-only transformer: a masked-token language model, or a classifier (Devlin 2019)."""

from torch import Tensor

from model.config import ModelConfig
from model.initialisation import initialise
from model.networks.stack import Stack, head


class Encoder(Stack):
    """A bidirectional stack with a masked-token head or a classification head.

    The masked-token head gives logits of the token at each position, trained at positions where the
    input hides the token. With `n_classes`, the classification head gives logits of the sequence's
    class, from the first position, where the caller puts a special token.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, causal=False)
        self.classifies = config.n_classes is not None
        self.head = head(config)
        initialise(self, config)
        if config.tie_embeddings and not self.classifies:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """tokens: [batch, time]; padding_mask: [batch, time], True at tokens and False at padding,
        which no position attends to, or None for no padding. Every sequence needs at least one
        token, and for a classifier its first position must be a token.

        Returns logits, [batch, time, vocab], or [batch, n_classes] of a classifier.

        Raises:
            ValueError: the sequence is longer than the positional encoding allows.
        """
        states = self.states(tokens, padding_mask)
        return self.head(states[:, 0] if self.classifies else states)
