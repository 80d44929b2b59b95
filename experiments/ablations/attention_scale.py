"""Why are attention scores divided by the square root of the head width?"""

from experiments.ablation import Ablation, Beats, Claim, Variant

ONE_HEAD = {"model.n_heads": 1}
UNSCALED = {"model.attention_scale": False}

ABLATION = Ablation(
    title="Scaled dot products",
    question="Does learning suffer when scores are not divided by sqrt(d_k), and more so in wide"
    " heads?",
    group="attention",
    baseline="scaled",
    variants=[
        Variant("scaled", tuned_for="scaled"),
        Variant("unscaled", UNSCALED, tuned_for="scaled"),
        Variant("one-head-scaled", ONE_HEAD),
        Variant("one-head-unscaled", ONE_HEAD | UNSCALED),
    ],
    claims=[
        Claim(
            id="scale-variance",
            sentence="The dot product of unit normal queries and keys has variance d_k.",
            said_by="Vaswani 2017, section 3.2.1",
            check="score-variance",
        ),
        Claim(
            id="scale",
            sentence="Without 1/sqrt(d_k) learning suffers.",
            said_by="Vaswani 2017, section 3.2.1",
            effect={"one-head-unscaled": 1, "one-head-scaled": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            requires=[Beats("one-head-scaled")],
        ),
        Claim(
            id="scale-saturation",
            sentence="At initialisation, the softmax saturates without 1/sqrt(d_k).",
            said_by="Vaswani 2017, section 3.2.1",
            effect={"one-head-scaled": 1, "one-head-unscaled": -1},
            metric="initial_attention_entropy",
            margin=1.0,
            why_margin="with a nat less of entropy, a third as many characters are attended to",
            restated="the entropy was that of the trained network; Vaswani's argument is about"
            " scores of random queries and keys",
        ),
    ],
    probes=["heads", "samples"],
    budgets=[1, 16],
    removals={
        "the scale of the scores (one wide head)": ("one-head-scaled", "one-head-unscaled"),
    },
    why=(
        "If the components of two vectors are independent, with zero mean and unit variance, "
        "the variance of their dot product is the number of components. Without the scale the "
        "scores of a wide head are large, the softmax is nearly one-hot, and its gradient "
        "nearly zero."
    ),
    equation=r"\operatorname{Var}(q \cdot k) = d_k, \qquad"
    r" \operatorname{softmax}\!\left(\frac{q k^\top}{\sqrt{d_k}}\right)",
    limits="Vaswani's argument assumes inputs of unit variance; the scores of a network start as"
    " small or as large as its weights make them.",
)
