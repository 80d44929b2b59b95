"""From counting pairs to attention: what is each step of the textbooks' ladder worth?"""

from experiments.ablation import Ablation, Beats, Claim, Times, Trains, Variant

# The MLP learns best at about three times the transformer's rate.
MLP = {"model.family": "mlp", "recipe.learning_rate": Times(3)}

ABLATION = Ablation(
    title="The ladder of language models",
    question="Bigram, fixed-window MLP, transformer: how much does each gain on the one before?",
    group="others",
    baseline="bigram",
    variants=[
        Variant("bigram", {"model.family": "bigram"}),
        Variant("mlp", MLP, match_parameters="d_ff"),
        Variant("transformer"),
    ],
    claims=[
        Claim(
            id="ladder-mlp",
            sentence="A fixed-window MLP beats a bigram.",
            said_by="lecture series; Bengio 2003",
            effect={"bigram": 1, "mlp": -1},
            margin=0.1,
            why_margin="a rung of the ladder is a tenth of a nat or more",
            requires=[Trains("mlp")],
        ),
        Claim(
            id="ladder",
            sentence="A transformer beats a fixed-window MLP of as many parameters.",
            said_by="lecture series",
            effect={"mlp": 1, "transformer": -1},
            margin=0.1,
            why_margin="a rung of the ladder is a tenth of a nat or more",
            requires=[Beats("mlp"), Beats("transformer")],
        ),
    ],
    probes=["positions", "samples"],
    budgets=[1, 16],
    removals={
        "the transformer (a fixed-window MLP instead)": ("transformer", "mlp"),
    },
    why=(
        "A bigram sees one token, a fixed-window MLP a few, each at a place of its own. Attention "
        "sees the whole context and chooses by content what to read."
    ),
    equation=r"p(x_t \mid x_{t-1}) \to p(x_t \mid x_{t-8},"
    r" \dots, x_{t-1}) \to p(x_t \mid x_1, \dots, x_{t-1})",
    limits="The MLP sees eight characters. The bigram is counted from the same batches, not from"
    " the whole text.",
)
