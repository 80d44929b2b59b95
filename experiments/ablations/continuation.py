"""Generation: does a decoder continue a text better than an encoder-decoder?"""

from experiments.ablation import Ablation, Beats, Claim, Times, Variant

TASK = {"recipe.task": "continuation"}
BOTH = {"model.family": "encoder_decoder", "model.n_layers": Times(0.5)}

ABLATION = Ablation(
    title="Families: continuing a text",
    question="Decoders are said to suit generation. At equal parameters, do they continue a text"
    " better than an encoder-decoder that reads the first half in both directions?",
    group="tasks",
    section="Encoder, decoder or both",
    baseline="decoder",
    variants=[
        Variant("decoder", TASK),
        Variant("encoder-decoder", TASK | BOTH, match_parameters="d_ff"),
    ],
    claims=[
        Claim(
            id="families-generation",
            sentence="For continuing a text, a decoder beats an encoder-decoder.",
            said_by="course notes",
            effect={"encoder-decoder": 1, "decoder": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[
                Beats("decoder", "unigram", 0.5),
                Beats("encoder-decoder", "unigram", 0.5),
            ],
        ),
    ],
    budgets=[1, 16],
    why=(
        "Text is continued from left to right, so reading the first half in both directions may "
        "help little. The decoder has twice the layers for both halves."
    ),
    limits="Only the second half of each window counts, in training and in evaluation. The encoder"
    " and the decoder of the encoder-decoder have half the layers each.",
)
