"""Who makes more of a longer context?"""

from experiments.ablation import Ablation, Claim, Times, Variant

LSTM = {"model.family": "lstm", "model.n_layers": 2, "recipe.learning_rate": Times(8)}
# As many tokens a step at every length.
SHORT = {"model.context_length": Times(0.25), "recipe.batch_size": Times(4)}
LONG = {"model.context_length": Times(2), "recipe.batch_size": Times(0.5)}

ABLATION = Ablation(
    title="Length of the context",
    question="Does the transformer's place beside the LSTM change with the length of the context?",
    baseline="transformer",
    variants=[
        Variant("transformer-short", SHORT),
        Variant("transformer"),
        Variant("transformer-long", LONG),
        Variant("lstm-short", SHORT | LSTM, match_parameters="d_model"),
        Variant("lstm", LSTM, match_parameters="d_model"),
        Variant("lstm-long", LONG | LSTM, match_parameters="d_model"),
    ],
    claims=[
        Claim(
            id="lstm-context",
            sentence="The transformer's lead over the LSTM grows with the length of the context.",
            said_by="course notes",
            effect={
                "lstm-long": 1,
                "transformer-long": -1,
                "lstm-short": -1,
                "transformer-short": 1,
            },
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            published="Khandelwal 2018: LSTMs use about 200 tokens",
        ),
    ],
    probes=["positions"],
    limits="Each network at its own learning rate as chosen at the middle length; the batch holds"
    " as many tokens at every length, so long contexts come in fewer sequences.",
)
