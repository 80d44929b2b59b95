"""What does a bidirectional network do without positions?"""

from experiments.ablation import Ablation, Beats, Claim, Times, Variant

MASKED = {
    "recipe.task": "masked",
    "model.family": "encoder",
    "recipe.learning_rate": Times(0.3),
    "recipe.steps": Times(1.6),  # fewer targets per window than in next-token prediction
    "recipe.warmup_steps": Times(1.6),
}

ABLATION = Ablation(
    title="Positions in an encoder",
    question="A causal mask tells positions apart; an encoder has none. Does it collapse without"
    " positions?",
    group="order",
    section="Positional encoding",
    baseline="none",
    variants=[
        Variant("none", MASKED | {"model.position": "none"}),
        Variant("sinusoidal", MASKED | {"model.position": "sinusoidal"}),
        Variant("learned", MASKED | {"model.position": "learned"}, tuned_for="sinusoidal"),
        Variant("rope", MASKED | {"model.position": "rope"}),
        Variant("alibi", MASKED | {"model.position": "alibi"}, tuned_for="rope"),
    ],
    claims=[
        Claim(
            id="nopos-encoder",
            sentence="Without positional encoding a bidirectional encoder collapses.",
            said_by="Haviv 2022, table 4",
            effect={"none": 1, "sinusoidal": -1},
            margin=0.5,
            why_margin="a collapse is a loss of half a nat per character or more, as in a decoder",
            restated="the claim was judged against RoPE alone and with a margin of 0.2, and that of"
            " the decoder against sinusoidal encodings with 0.5; both have the same now",
            published="Haviv 2022, table 4: perplexity 147.18 without, 4.06, 4.07 and 4.00 with",
            requires=[Beats("sinusoidal", "unigram", 0.3)],
        ),
        Claim(
            id="nopos-encoder-rope",
            sentence="Without positional encoding a bidirectional encoder collapses, compared with"
            " RoPE.",
            said_by="a reading of Haviv 2022",
            effect={"none": 1, "rope": -1},
            margin=0.5,
            why_margin="a collapse is a loss of half a nat per character or more, as in a decoder",
            requires=[Beats("rope", "unigram", 0.3)],
        ),
    ],
    budgets=[1, 16],
    why=(
        "An encoder has no causal mask, so without positions a permutation of its input only "
        "permutes its output. It gives the same prediction at every masked place, from how "
        "often each character occurs."
    ),
    limits="The loss is over the masked characters alone, 15 % of all. A shorter training was tried"
    " first, in which RoPE's loss varied much between seeds.",
)
