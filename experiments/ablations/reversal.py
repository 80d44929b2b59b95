"""Transduction: does an encoder-decoder suit reversing a sequence better than a decoder?"""

from experiments.ablation import Ablation, Claim, Solves, Times, Variant

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
    " to reverse random symbols better than a decoder that reads source and answer as one"
    " sequence?",
    group="tasks",
    section="Encoder, decoder or both",
    baseline="decoder",
    variants=[
        Variant("decoder", TASK, match_parameters="d_ff"),
        Variant("encoder-decoder", TASK | BOTH, match_parameters="d_ff"),
    ],
    claims=[
        Claim(
            id="families-reverse",
            sentence="An encoder-decoder learns to reverse a sequence sooner than a decoder.",
            said_by="course notes",
            effect={"decoder": 1, "encoder-decoder": -1},
            metric="steps_to_solve",
            margin=0.5,
            why_margin="of two networks that are alike, each is first in half of the seeds",
            restated="the claim compared accuracies at the end, which are equal where both solve"
            " the task",
            requires=[Solves(("decoder", "encoder-decoder"))],
        ),
    ],
    budgets=[1, 4, 16],
    why=(
        "An encoder reads the source in both directions before the decoder writes. A decoder "
        "reads the source from left to right alone, but uses all its layers for source and "
        "answer."
    ),
    limits="Both networks have learned positions, since rotations do not relate the positions of"
    " two sequences. All sequences have the same length. A shorter training"
    " was tried first, in which one decoder in three did not learn the task.",
)
