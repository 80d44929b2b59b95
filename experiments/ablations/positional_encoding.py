"""How should a transformer know where a token stands?"""

from experiments.ablation import Ablation, Beats, Claim, UsesContext, Variant, vary

ABLATION = Ablation(
    title="Positional encoding",
    question="Attention by itself does not see order. How much does each way of encoding order"
    " matter?",
    group="order",
    section="Positional encoding",
    baseline="none",
    variants=[
        *vary("position", ["none", "sinusoidal"]),
        Variant("learned", {"model.position": "learned"}, tuned_for="sinusoidal"),
        *vary("position", ["rope", "alibi"]),
    ],
    claims=[
        Claim(
            id="permutation",
            sentence="Attention without positions and mask is permutation-equivariant; the causal"
            " mask breaks it.",
            said_by="course notes",
            check="permutation",
        ),
        Claim(
            id="nopos-decoder",
            sentence="Without positional encoding the language model collapses.",
            said_by="course notes",
            effect={"none": 1, "sinusoidal": -1},
            margin=0.5,
            why_margin="a collapse is a loss of half a nat per character or more",
            published="Haviv 2022, table 2 (125M parameters): perplexity 22.15 without, 22.04"
            " learned, 21.49 sinusoidal, 19.94 ALiBi: no collapse",
            requires=[Beats("sinusoidal"), UsesContext("sinusoidal")],
        ),
        Claim(
            id="nopos-decoder-rope",
            sentence="Without positional encoding the language model collapses, compared with"
            " RoPE.",
            said_by="course notes",
            effect={"none": 1, "rope": -1},
            margin=0.5,
            why_margin="a collapse is a loss of half a nat per character or more",
            published="Haviv 2022 did not try RoPE",
            requires=[Beats("rope"), UsesContext("rope")],
        ),
        Claim(
            id="nopos-decoder-alibi",
            sentence="Without positional encoding the language model collapses, compared with"
            " ALiBi.",
            said_by="course notes",
            effect={"none": 1, "alibi": -1},
            margin=0.5,
            why_margin="a collapse is a loss of half a nat per character or more",
            published="Haviv 2022, table 2 (125M parameters): perplexity 22.15 without, 19.94"
            " ALiBi",
            requires=[Beats("alibi"), UsesContext("alibi")],
        ),
        Claim(
            id="rope-sinusoidal",
            sentence="RoPE beats sinusoidal encodings at the training length.",
            said_by="practice; Su 2021",
            effect={"sinusoidal": 1, "rope": -1},
            margin=0.02,
            why_margin="below two hundredths of a nat a reader of samples sees no difference",
            published="Su 2021: 27.3 to 27.5 BLEU on WMT14 English to German",
            requires=[Beats("sinusoidal"), Beats("rope")],
        ),
        Claim(
            id="extrapolation-rope",
            sentence="Past the training length, the loss rises less with RoPE than with sinusoidal"
            " encodings.",
            said_by="course notes; Press 2022",
            effect={"sinusoidal": 1, "rope": -1},
            metric="rise_beyond_4x_per_character",
            margin=0.1,
            why_margin="an encoding that holds up rises less by a tenth of a nat or more",
            restated="the claim compared losses past the training length, most of which are the gap"
            " within it; now each network's loss there is compared with its own within",
            published="Press 2022, table 2, trained at 512 and tested at 3512: perplexity 178.97"
            " sinusoidal, 35.54 rotary",
            requires=[
                Beats("sinusoidal"),
                Beats("rope"),
                UsesContext("sinusoidal"),
                UsesContext("rope"),
            ],
        ),
        Claim(
            id="extrapolation-alibi",
            sentence="Past the training length, the loss rises less with ALiBi than with sinusoidal"
            " encodings.",
            said_by="course notes; Press 2022",
            effect={"sinusoidal": 1, "alibi": -1},
            metric="rise_beyond_4x_per_character",
            margin=0.1,
            why_margin="an encoding that holds up rises less by a tenth of a nat or more",
            restated="the claim compared losses past the training length, most of which are the gap"
            " within it; now each network's loss there is compared with its own within",
            published="Press 2022, table 2, trained at 512 and tested at 3512: perplexity 178.97"
            " sinusoidal, 18.40 ALiBi",
            requires=[
                Beats("sinusoidal"),
                Beats("alibi"),
                UsesContext("sinusoidal"),
                UsesContext("alibi"),
            ],
        ),
        Claim(
            id="extrapolation-rope-alibi",
            sentence="Past the training length, the loss rises less with ALiBi than with RoPE.",
            said_by="Press 2022",
            effect={"rope": 1, "alibi": -1},
            metric="rise_beyond_4x_per_character",
            margin=0.1,
            why_margin="an encoding that holds up rises less by a tenth of a nat or more",
            restated="the claim compared losses past the training length, most of which are the gap"
            " within it; now each network's loss there is compared with its own within",
            published="Press 2022, table 2: perplexity 35.54 rotary, 18.40 ALiBi",
            requires=[
                Beats("rope"),
                Beats("alibi"),
                UsesContext("rope"),
                UsesContext("alibi"),
            ],
        ),
    ],
    probes=["positions", "lengths", "samples"],
    core=True,
    removals={
        "positional encoding": ("rope", "none"),
    },
    why=(
        "Attention is a sum over a set: permuted inputs give permuted outputs. A causal mask "
        "breaks this, because each place sees a set of a different size, and from that a "
        "network can learn where it is."
    ),
    equation=r"\operatorname{attention}(P x) = P \operatorname{attention}(x)",
    limits="Beyond the training length each network is evaluated as it was trained, without any of"
    " the later methods for longer contexts. Learned positions do not exist there; they"
    " have the learning rate of sinusoidal ones.",
)
