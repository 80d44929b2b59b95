"""What does a longer context cost, and what do the transformer and the LSTM gain from it?"""

from typing import Any

from experiments.ablation import Ablation, Claim, Times, Variant

# The LSTM learns best at about three times the transformer's rate.
LSTM = {"model.family": "lstm", "model.n_layers": 2, "recipe.learning_rate": Times(3)}
# The number of tokens per step is the same at every length.
LENGTHS = {
    "-short": {"model.context_length": Times(0.25), "recipe.batch_size": Times(4)},
    "": {},
    "-long": {"model.context_length": Times(4), "recipe.batch_size": Times(0.25)},
}
SQUARE: dict[str, Any] = {
    "metric": "time_exponent",
    "threshold": 2,
    "equal": True,
    "margin": 0.25,
    "why_margin": "a power between 1.75 and 2.25 is nearer to the square than to any other power"
    " that is claimed",
}

ABLATION = Ablation(
    title="Length of the context",
    question="How do time and memory grow with the length of the context, and what do the"
    " transformer and the LSTM gain from it?",
    group="others",
    baseline="transformer",
    variants=[
        *(
            Variant(f"transformer{length}", changes, tuned_for="transformer")
            for length, changes in LENGTHS.items()
        ),
        *(
            Variant(f"lstm{length}", changes | LSTM, match_parameters="d_model", tuned_for="lstm")
            for length, changes in LENGTHS.items()
        ),
    ],
    claims=[
        Claim(
            id="quadratic",
            sentence="The time of attention grows with the square of the context.",
            said_by="course notes",
            effect={"attention reference": 1},
            **SQUARE,
        ),
        Claim(
            id="quadratic-fused",
            sentence="The time of fused attention grows with the square of the context too.",
            said_by="a reading of Dao 2022",
            effect={"attention fused": 1},
            **SQUARE,
        ),
        Claim(
            id="quadratic-memory",
            sentence="The memory of attention grows with the square of the context.",
            said_by="course notes",
            effect={"attention reference": 1},
            **SQUARE | {"metric": "memory_exponent"},
        ),
        Claim(
            id="quadratic-memory-fused",
            sentence="The memory of fused attention grows with the square of the context too.",
            said_by="course notes, which speak of attention as such",
            effect={"attention fused": 1},
            published="Dao 2022: linear",
            **SQUARE | {"metric": "memory_exponent"},
        ),
        Claim(
            id="quadratic-model",
            sentence="The time of a whole training step grows with the square of the context.",
            said_by="course notes, which speak of the transformer as such",
            effect={"model fused": 1},
            **SQUARE,
        ),
    ],
    probes=["positions", "samples"],
    why=(
        "Attention compares every token with every other token. The other matrix products of "
        "a layer grow with the length alone, so the square shows only where the context is "
        "long against the width."
    ),
    equation=r"\text{FLOPs of a layer, forward} = \underbrace{24\, n d^2}_{\text{products}}"
    r" + \underbrace{4\, n^2 d}_{\text{attention}}",
    limits="No claim is about the losses: a batch of the long context holds so few sequences that"
    " they cannot be compared with those of the short one. Whether the transformer gains more from"
    " context is judged in the ablation lstm-baseline. Each network has the learning rate that is"
    " best for it at the middle length. A batch"
    " holds as many tokens at every length, so long contexts come in fewer sequences. Each power"
    " is the slope over all lengths from 256 on, for forward and backward pass together.",
)
