"""The network of every family."""

from model.mechanism import Build
from model.networks.bigram import Bigram
from model.networks.decoder import Decoder
from model.networks.encoder import Encoder
from model.networks.encoder_decoder import EncoderDecoder
from model.networks.lstm import LSTM
from model.networks.mlp import MLP

FAMILIES: dict[str, Build] = {
    "decoder": Decoder,
    "encoder": Encoder,
    "encoder_decoder": EncoderDecoder,
    "lstm": LSTM,
    "mlp": MLP,
    "bigram": Bigram,
}
