"""Make `runs.csv`: losses that are drawn at random, as an example of a table of runs.

No network was trained for this table. Its effects are known, because this script plants them: the
variant "wide" is 0.08 below "base" at every seed, "renamed" is "base" with other noise, and
"untrained" is above "bigram".
"""

from pathlib import Path

import numpy as np
import pandas as pd

SEEDS = 8
LOSSES = {"bigram": 2.45, "base": 1.60, "wide": 1.52, "renamed": 1.60, "untrained": 2.50}


def main() -> None:
    """Write `runs.csv` next to this file."""
    random = np.random.default_rng(0)
    of_seed = random.normal(0, 0.02, SEEDS)  # what all variants of a seed share
    rows = [
        {
            "variant": variant,
            "seed": seed,
            "val_loss": loss + of_seed[seed] + random.normal(0, 0.01),
        }
        for variant, loss in LOSSES.items()
        for seed in range(SEEDS)
    ]
    file = Path(__file__).with_name("runs.csv")
    pd.DataFrame(rows).to_csv(file, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
