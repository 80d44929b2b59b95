"""Does an orthogonal update of the hidden matrices learn with fewer tokens than AdamW's?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ABLATION = Ablation(
    title="Muon",
    question="Muon makes the momentum of every hidden matrix orthogonal before the step. Does it"
    " learn with fewer tokens than AdamW, each at its best rate?",
    group="trainable",
    baseline="adamw",
    variants=[
        Variant("adamw"),
        Variant("muon", {"recipe.optimizer": "muon"}),
        Variant("muon-wsd", {"recipe.optimizer": "muon", "recipe.schedule": "wsd"}),
    ],
    claims=[
        Claim(
            id="muon-tokens",
            sentence="Muon reaches the loss of a bigram with fewer tokens than AdamW.",
            said_by="Jordan's post on Muon, of 2024; Liu 2025",
            effect={"adamw": 1, "muon": -1},
            metric="tokens_to_loss",
            log=True,
            margin=0.05,
            why_margin="five per cent of tokens would not decide what to use",
            published="Jordan's post, NanoGPT speedrun: 1.35 times faster; Liu 2025: about twice as"
            " efficient in FLOPs at the best size for each",
            requires=[Beats("adamw"), Beats("muon")],
        ),
        Claim(
            id="muon-loss",
            sentence="At equal tokens, Muon ends at a lower loss than AdamW.",
            said_by="Liu 2025",
            effect={"adamw": 1, "muon": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("adamw"), Beats("muon")],
        ),
        Claim(
            id="wsd",
            sentence="A rate that stays and then falls ends as low as a cosine.",
            said_by="Hu 2024; Hägele 2024",
            effect={"muon": 1, "muon-wsd": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("muon"), Beats("muon-wsd")],
        ),
    ],
    budgets=[1, 16],
    why=(
        "A gradient of a matrix has a few large singular values, and a step along it moves hardly "
        "any other direction. An orthogonal update moves all directions alike."
    ),
    equation=r"\Delta W = -\eta\, U V^\top \quad \text{with} \quad M = U \Sigma V^\top",
    limits="Both optimizers have the same weight decay and the same warm-up, and each its own rate."
    " Matrices of 64 features are small for Muon, whose gain was shown at widths of 768 and more.",
)
