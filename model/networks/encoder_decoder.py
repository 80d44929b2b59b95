"""The encoder-decoder, which turns one sequence into another (Vaswani 2017)."""

from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.initialisation import INITIALISATIONS
from model.networks.stack import Stack


class EncoderDecoder(nn.Module):
    """An encoder reads the source; a causal decoder, which looks at its states, writes the target.

    Each has `n_layers` layers and its own positions. With `tie_embeddings` the source, the target
    and the head share one matrix (section 3.4); without, there are three.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.cacheable = config.masking == "before_softmax"
        self.encoder = Stack(config, causal=False)
        self.decoder = Stack(config, causal=True, cross=True)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        for part in (self.encoder, self.decoder, self.head):
            INITIALISATIONS[config.initialisation](part, config)
        if config.tie_embeddings:
            self.decoder.embedding = self.encoder.embedding
            self.head.weight = self.encoder.embedding.weight

    def forward(self, source: Tensor, target: Tensor, source_real: Tensor | None = None) -> Tensor:
        """source: [batch, keys]; target: [batch, time], which begins with a start token;
        source_real: [batch, keys], True for a token and False for padding, None for no padding.
        Padding at the end of a target needs no mask: nothing looks ahead.

        Returns logits of the target's token after each, [batch, time, vocab].

        Raises:
            ValueError: a sequence is longer than the positional encoding knows.
        """
        return self.decode(target, self.encode(source, source_real), source_real)

    def encode(self, source: Tensor, source_real: Tensor | None = None) -> Tensor:
        """source, source_real: as in `forward`. Returns its states, [batch, keys, d_model].

        Raises:
            ValueError: it is longer than the positional encoding knows.
        """
        return self.encoder.states(source, source_real)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        source_real: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """target: [batch, time], the continuation of what the cache holds; memory: what `encode`
        returned. Returns [batch, time, vocab].

        Raises:
            ValueError: the target is longer than the positional encoding knows.
        """
        states = self.decoder.states(target, None, memory, source_real, cache)
        logits: Tensor = self.head(states)
        return logits
