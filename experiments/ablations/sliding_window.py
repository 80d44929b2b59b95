"""How much of the context must attention see?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="Sliding window",
    question="Each position attends to the last characters only, half of the context or an eighth"
    " of it. What does this cost, and what does it do past the training length?",
    group="attention",
    baseline="whole",
    variants=[
        Variant("whole"),
        Variant("half", {"model.window": 64}),
        Variant("eighth", {"model.window": 16}),
        # Windows of all layers together reach as far as one of them times the number of layers.
        Variant("eighth-shallow", {"model.window": 16, "model.n_layers": 1}),
        Variant("whole-shallow", {"model.n_layers": 1}, tuned_for="eighth-shallow"),
    ],
    claims=[
        Claim(
            id="window-half",
            sentence="A window of half the context costs no loss.",
            said_by="Beltagy 2020; Jiang 2023",
            effect={"whole": 1, "half": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("whole"), Beats("half")],
        ),
        Claim(
            id="window-eighth",
            sentence="A window of an eighth of the context costs loss.",
            said_by="practice notes",
            effect={"eighth": 1, "whole": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("whole"), Beats("eighth")],
        ),
        Claim(
            id="window-depth",
            sentence="A narrow window costs more in a shallow stack than in a deep one.",
            said_by="a reading of Jiang 2023: windows of the layers add up",
            effect={"eighth-shallow": 1, "whole-shallow": -1, "eighth": -1, "whole": 1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("whole"), Beats("eighth-shallow", "unigram", 0.3)],
        ),
        Claim(
            id="window-length",
            sentence="Past the training length, the loss rises less with a window.",
            said_by="a reading of Press 2022",
            effect={"whole": 1, "half": -1},
            metric="rise_beyond_4x_per_character",
            margin=0.05,
            why_margin="what holds up rises less by a tenth of a nat or more",
            requires=[Beats("whole"), Beats("half")],
        ),
    ],
    probes=["lengths"],
    budgets=[1, 16],
    why=(
        "Most of what predicts a character is within a word or two. Past the training length a "
        "window never meets a distance that was not trained."
    ),
    equation=r"w_{ij} = 0 \quad \text{for} \quad i - j \geq W",
    limits="The windows are of the `cpu` profile's context of 128 characters. A window is made with"
    " a mask here, so it saves neither time nor memory.",
)
