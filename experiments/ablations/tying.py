"""One matrix for input and output embeddings, or two?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

UNTIED = {"model.tie_embeddings": False}

ABLATION = Ablation(
    title="Tied embeddings",
    question="Does sharing the input and output embeddings cost quality?",
    group="details",
    baseline="tied",
    variants=[
        Variant("tied", {"model.tie_embeddings": True}),
        Variant("untied", UNTIED),
        Variant("untied-matched", UNTIED, match_parameters="d_ff"),
    ],
    claims=[
        Claim(
            id="tying",
            sentence="Tying input and output embeddings saves parameters at no loss.",
            said_by="Press & Wolf 2017",
            effect={"untied": 1, "tied": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            restated="a first rule asked for equality, which a better result would contradict",
            requires=[Beats("tied"), Beats("untied")],
        ),
        Claim(
            id="tying-matched",
            sentence="At equal parameters, tying does no harm either.",
            said_by="Press & Wolf 2017",
            effect={"untied-matched": 1, "tied": -1},
            margin=0.02,
            no_worse=True,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            restated="a first rule asked for equality, which a better result would contradict",
            requires=[Beats("tied"), Beats("untied-matched")],
        ),
    ],
    probes=["samples"],
    budgets=[1, 16],
    removals={
        "tied embeddings": ("tied", "untied"),
    },
    why=(
        "Both matrices relate a token to a direction of the same space, one reading and one "
        "writing. One matrix for both halves these parameters and gives each token the gradients "
        "of both."
    ),
    equation=r"\text{logits} = x E^\top",
    limits="With a vocabulary of characters the matrix is a small part of the"
    " network; with a vocabulary of word pieces it can be half.",
)
