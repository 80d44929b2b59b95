"""From counting pairs to attention: what is each step of the textbooks' ladder worth?"""

from experiments.ablation import Ablation, Claim, Variant

ABLATION = Ablation(
    title="The ladder of language models",
    question="Bigram, fixed-window MLP, transformer: how much does each gain on the one before?",
    baseline="bigram",
    variants=[
        Variant("bigram", {"model.family": "bigram"}),
        Variant("mlp", {"model.family": "mlp"}, match_parameters="d_ff"),
        Variant("transformer"),
        Variant("mlp-own-rate", {"model.family": "mlp"}, match_parameters="d_ff", tuned_for="mlp"),
        Variant("transformer-own-rate", tuned_for="transformer"),
    ],
    claims=[
        Claim(
            id="ladder-mlp",
            sentence="A fixed-window MLP beats a bigram.",
            said_by="lecture series; Bengio 2003",
            effect={"bigram": 1, "mlp-own-rate": -1},
            margin=0.1,
            why_margin="a rung of the ladder is a tenth of a nat or more",
        ),
        Claim(
            id="ladder",
            sentence="A transformer beats a fixed-window MLP of as many parameters.",
            said_by="lecture series",
            effect={"mlp-own-rate": 1, "transformer-own-rate": -1},
            margin=0.1,
            why_margin="as for the MLP against the bigram",
        ),
    ],
    probes=["positions", "samples"],
    limits="The MLP sees eight characters. The claims are judged with each network at its own"
    " learning rate. The bigram is counted from the same batches, not from the whole text.",
)
