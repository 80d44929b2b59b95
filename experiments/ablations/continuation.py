"""Generation: a decoder, or an encoder-decoder that is given the first half as its source?"""

from experiments.ablation import Ablation, Claim, Times, Variant

TASK = {"recipe.task": "continuation"}
BOTH = {"model.family": "encoder_decoder", "model.n_layers": Times(0.5)}

ABLATION = Ablation(
    title="Families: continuing a text",
    question="Decoders are said to suit generation. At equal parameters, do they continue a text"
    " better than an encoder-decoder that reads its first half both ways?",
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
        ),
    ],
    limits="Only the second half of each window is trained on and judged. The encoder-decoder has"
    " half the layers in each half, and one learning rate serves both networks.",
)
