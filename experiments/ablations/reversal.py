"""Transduction: does an encoder-decoder suit reversing a sequence better than a decoder?"""

from experiments.ablation import Ablation, Claim, Times, Variant

TASK = {
    "recipe.task": "reverse",
    "model.position": "learned",
    "model.context_length": Times(0.25),
    "recipe.batch_size": Times(4),
    "recipe.steps": Times(1.6),
    "recipe.warmup_steps": Times(1.6),
}
BOTH = {"model.family": "encoder_decoder", "model.n_layers": Times(0.5)}

ABLATION = Ablation(
    title="Families: reversing a sequence",
    question="Encoder-decoders are said to suit transduction. At equal parameters, do they learn"
    " reversing random symbols better than a decoder that reads source and answer in one?",
    baseline="decoder",
    variants=[
        Variant("decoder", TASK, match_parameters="d_ff", tuned_for="decoder"),
        Variant(
            "encoder-decoder", TASK | BOTH, match_parameters="d_ff", tuned_for="encoder-decoder"
        ),
    ],
    claims=[
        Claim(
            id="families-reverse",
            sentence="For reversing a sequence, an encoder-decoder beats a decoder.",
            said_by="course notes",
            effect={"encoder-decoder": 1, "decoder": -1},
            metric="val_accuracy",
            margin=0.05,
            why_margin="one symbol in twenty",
        ),
    ],
    limits="Learned positions for both, since rotations do not reach from one sequence into the"
    " other; each at its own learning rate; random symbols of one length."
    " A shorter training was tried first, in which one decoder in three had not learnt it.",
)
