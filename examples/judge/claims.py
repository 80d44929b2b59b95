"""Claims about `runs.csv`, an example of what `make judge` takes."""

from report.verdicts import Beats, Claim

CLAIMS = [
    Claim(
        id="wide",
        sentence="A wider network has a lower loss.",
        said_by="this example",
        metric="val_loss",
        effect={"base": 1, "wide": -1},  # positive where the loss of "wide" is lower
        margin=0.02,
        why_margin="a fiftieth of a nat, below which nobody would widen it",
        requires=[Beats("wide", "bigram", by=0.1)],
    ),
    Claim(
        id="renamed",
        sentence="Renaming the layers changes nothing.",
        said_by="this example",
        metric="val_loss",
        effect={"base": 1, "renamed": -1},
        margin=0.02,
        equal=True,
        why_margin="the same",
        requires=[Beats("base", "bigram", by=0.1)],
    ),
    Claim(
        id="untrained",
        sentence="The untrained variant has a higher loss.",
        said_by="this example",
        metric="val_loss",
        effect={"untrained": 1, "base": -1},
        margin=0.02,
        why_margin="the same",
        requires=[Beats("untrained", "bigram", by=0.1)],
    ),
]
