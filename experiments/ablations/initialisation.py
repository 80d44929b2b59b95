"""How large should weights and embeddings start?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

XAVIER = {"model.initialisation": "xavier"}
GPT2 = {"model.initialisation": "gpt2"}
SCALED = {"model.embedding_scale": True}
UNSCALED = {"model.embedding_scale": False}

ABLATION = Ablation(
    title="Initialisation",
    question="Xavier's weights or GPT-2's small ones, and embeddings multiplied by sqrt(d_model) or"
    " not?",
    group="trainable",
    baseline="gpt2",
    variants=[
        Variant("gpt2", GPT2 | UNSCALED),
        Variant("gpt2-scaled", GPT2 | SCALED),
        Variant("xavier", XAVIER | UNSCALED),
        Variant("xavier-scaled", XAVIER | SCALED),
    ],
    claims=[
        Claim(
            id="initialisation",
            sentence="The first transformer's initialisation, Xavier's weights and scaled"
            " embeddings, learns more in a short training than GPT-2's.",
            said_by="this study, from a pilot with another seed",
            effect={"gpt2": 1, "xavier-scaled": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("xavier-scaled")],
        ),
    ],
    probes=["layers", "samples"],
    budgets=[1, 16],
    why=(
        "Xavier's weights roughly keep the variance of a signal through a linear layer, "
        "forwards and backwards. GPT-2's weights are smaller, so that each layer of an "
        "untrained network adds little to the residual path."
    ),
    equation=r"\operatorname{Var}(W_\text{Xavier}) = \frac{2}{n_\text{in} + n_\text{out}}, \qquad"
    r" \sigma(W_\text{GPT-2}) = 0.02, \quad \frac{0.02}{\sqrt{2L}} \text{ to the residual path}",
    limits="Few steps; GPT-2's weights were made for long trainings of deep stacks.",
)
