"""The encoder-only transformer: a masked-token language model, or a classifier (Devlin 2019)."""

from torch import Tensor

from model.config import ModelConfig
from model.initialisation import INITIALISATIONS
from model.networks.stack import Stack, head


class Encoder(Stack):
    """A stack in which every position looks both ways, and one of two heads.

    Without `n_classes`, logits of the token that stands at each position: trained where the input
    hides it. With it, logits of the sequence's class, read off the first position, where the caller
    puts a token of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, causal=False)
        self.classifies = config.n_classes is not None
        self.head = head(config)
        INITIALISATIONS[config.initialisation](self, config)
        if config.tie_embeddings and not self.classifies:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, real: Tensor | None = None) -> Tensor:
        """tokens: [batch, time]; real: [batch, time], True for a token and False for padding, which
        no position looks at; None for no padding. Each sequence needs a token, and the classifier
        its first one.

        Returns [batch, time, vocab], or [batch, n_classes] of the classifier.

        Raises:
            ValueError: the sequence is longer than the positional encoding knows.
        """
        states = self.states(tokens, real)
        logits: Tensor = self.head(states[:, 0] if self.classifies else states)
        return logits
