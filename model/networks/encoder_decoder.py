"""The encoder-decoder transformer, which maps one sequence to another (Vaswani 2017)."""

from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.initialisation import initialise
from model.networks.stack import LanguageModelHead, Stack


class EncoderDecoder(nn.Module):
    """An encoder for the source, and a causal decoder that attends to the encoder's states.

    Encoder and decoder have `n_layers` layers each, and positions of their own. With
    `tie_embeddings` source, target and head share one matrix (section 3.4); otherwise there are
    three.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.cacheable = config.masking == "before_softmax"
        self.encoder = Stack(config, causal=False)
        self.decoder = Stack(config, causal=True, cross=True)
        self.head = LanguageModelHead(config)
        for part in (self.encoder, self.decoder, self.head):
            initialise(part, config)
        if config.tie_embeddings:
            self.decoder.embedding = self.encoder.embedding
            self.head.weight = self.encoder.embedding.weight

    def forward(
        self, source: Tensor, target: Tensor, source_padding_mask: Tensor | None = None
    ) -> Tensor:
        """source: [batch, keys]; target: [batch, time], beginning with a start token;
        source_padding_mask: [batch, keys], True at tokens and False at padding, or None for no
        padding. Padding at the end of a target needs no mask, as the decoder is causal.

        Returns logits of the next target token at each position, [batch, time, vocab].

        Raises:
            ValueError: a sequence is longer than the positional encoding allows.
        """
        return self.decode(target, self.encode(source, source_padding_mask), source_padding_mask)

    def encode(self, source: Tensor, source_padding_mask: Tensor | None = None) -> Tensor:
        """The encoder's states, [batch, keys, d_model]; arguments as in `forward`.

        Raises:
            ValueError: the source is longer than the positional encoding allows.
        """
        return self.encoder.states(source, source_padding_mask)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        source_padding_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """target: [batch, time], the continuation of the tokens in the cache; memory: the result
        of `encode`; source_padding_mask: as in `forward`. Returns logits, [batch, time, vocab].

        Raises:
            ValueError: the target is longer than the positional encoding allows.
        """
        states = self.decoder.states(
            target, memory=memory, memory_padding_mask=source_padding_mask, cache=cache
        )
        return self.head(states)
