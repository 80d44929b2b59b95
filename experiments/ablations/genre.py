"""Understanding: does an encoder tell the genre of a passage better than a decoder?"""

from experiments.ablation import Ablation, Claim, Times, Variant

TASK = {
    "recipe.task": "genre",
    "recipe.learning_rate": Times(0.1),
    "recipe.final_eval_windows": Times(4),
}

ABLATION = Ablation(
    title="Families: telling the genre",
    question="Encoders are said to suit understanding. Does one tell comedy, history and tragedy"
    " from a passage better than a decoder of the same size?",
    baseline="decoder",
    variants=[
        Variant("decoder", TASK),
        Variant("encoder", TASK | {"model.family": "encoder"}),
    ],
    claims=[
        Claim(
            id="families-understanding",
            sentence="For telling the genre of a passage, an encoder beats a decoder.",
            said_by="course notes",
            effect={"encoder": 1, "decoder": -1},
            metric="val_accuracy",
            margin=0.05,
            why_margin="one passage in twenty",
        ),
    ],
    limits="Genres as the First Folio prints the plays; told on three plays that were never"
    " trained on, so that a play's own manner counts for much; a third right is chance.",
)
