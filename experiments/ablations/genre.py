"""Understanding: does an encoder tell the genre of a passage better than a decoder?"""

from experiments.ablation import Ablation, Claim, Times, Trains, Variant

TASK = {
    "recipe.task": "genre",
    "recipe.learning_rate": Times(0.1),
    "recipe.eval_windows": Times(4),
}

ABLATION = Ablation(
    title="Families: telling the genre",
    question="Encoders are said to suit understanding. Does an encoder recognise comedy,"
    " history and tragedy in a passage better than a decoder of the same size?",
    group="tasks",
    section="Encoder, decoder or both",
    baseline="decoder",
    variants=[
        Variant("decoder", TASK),
        Variant("encoder", TASK | {"model.family": "encoder"}),
    ],
    claims=[
        Claim(
            id="families-understanding",
            sentence="Trained from scratch, an encoder tells the genre of a passage better than a"
            " decoder.",
            said_by="course notes",
            effect={"encoder": 1, "decoder": -1},
            metric="val_accuracy",
            margin=0.05,
            why_margin="one passage in twenty",
            restated="the sentence did not say that nothing is trained beforehand, which is how"
            " encoders are used for understanding",
            requires=[Trains("decoder", 0.02), Trains("encoder", 0.02)],
        ),
    ],
    budgets=[1, 16],
    why=(
        "A passage is read whole before its genre is told, so nothing needs to be hidden from a "
        "token."
    ),
    limits="The genres are those of the First Folio. The networks are judged on three plays that"
    " they were not trained on, so the manner of a single play matters much. Chance is one third.",
)
