"""What do heads do, and how many of them are needed?"""

from experiments.ablation import Ablation, Beats, Claim, UsesContext, Variant

ABLATION = Ablation(
    title="What heads do",
    question="Do heads take on roles, and which of them can be switched off?",
    group="attention",
    baseline="base",
    variants=[
        Variant("base", tuned_for="base"),
        Variant("no-position", {"model.position": "none"}),
    ],
    claims=[
        Claim(
            id="head-roles-previous",
            sentence="Some head attends to the previous token.",
            said_by="Clark 2019; Olsson 2022",
            effect={"base": 1},
            metric="previous_excess",
            margin=0.2,
            why_margin="a fifth of the weight above what any head of the untrained network gives",
            requires=[Beats("base")],
        ),
        Claim(
            id="head-roles-first",
            sentence="Some head attends to the first token.",
            said_by="Clark 2019",
            effect={"base": 1},
            metric="first_excess",
            margin=0.2,
            why_margin="a fifth of the weight above what any head of the untrained network gives",
            requires=[Beats("base"), UsesContext("base", skip=1 / 8)],
        ),
        Claim(
            id="head-roles-induction",
            sentence="Some head attends to what followed the same token the last time (induction).",
            said_by="Olsson 2022",
            effect={"base": 1},
            metric="induction_excess",
            margin=0.2,
            why_margin="a fifth of the weight above what any head of the untrained network gives",
            requires=[Beats("base"), UsesContext("base", skip=1 / 8)],
        ),
        Claim(
            id="head-roles-broad",
            sentence="Some head attends broadly.",
            said_by="Clark 2019",
            effect={"base": 1},
            metric="broadest_head",
            threshold=0.75,
            margin=0.05,
            why_margin="broad means four fifths of the entropy of even attention",
            requires=[Beats("base")],
        ),
        Claim(
            id="head-pruning",
            sentence="Many heads can be removed with little loss.",
            said_by="Michel 2019; Voita 2019",
            effect={"base": 1},
            metric="prunable",
            margin=0.5,
            why_margin="many means a fifth of the heads, removed together, for two hundredths of a"
            " nat, in more than half of the seeds",
            restated="the claim was that over half of the heads can be removed, which is more than"
            " Michel 2019 says",
            published="Michel 2019: 20 to 40 % of the heads for no noticeable loss; Voita 2019,"
            " training on while pruning: 38 of 48 encoder heads for 0.15 BLEU",
            requires=[Beats("base")],
        ),
    ],
    probes=["positions", "heads", "pruning", "samples", "atlas"],
    budgets=[1, 16],
    why=(
        "Nothing assigns a role to a head: roles are found in trained networks. A head that can "
        "be switched off at little loss does what others do too, or little."
    ),
    limits="Heads are switched off at evaluation, without further training. The order is by the"
    " loss that each head costs alone, the least first. Scores are means over held-out text; the"
    " score of a network is that of its strongest head.",
)
