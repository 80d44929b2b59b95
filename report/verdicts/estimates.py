"""Means over seeds with 95 % intervals, per variant."""

import pandas as pd

from report.verdicts.effects import baseline_differences, scored
from report.verdicts.stats import Estimate, estimate
from report.verdicts.tables import Tables


def variant_estimate(tables: Tables, ablation: str, variant: str, column: str) -> Estimate | None:
    """Mean of a column over a variant's finished seeds; None where no seed has a number."""
    rows = scored(tables, ablation)
    values = rows.loc[rows["variant"] == variant, column].dropna()
    return estimate(list(values)) if len(values) else None


def difference_estimates(tables: Tables, ablation: str) -> pd.DataFrame:
    """Mean differences in validation loss of each variant from the ablation's baseline, paired by
    seed, in the unit of `loss_column`. Positive is worse than the baseline.

    The columns are variant, mean, low, high and n. Variants without a pair of seeds are left out.
    """
    rows = [
        {"variant": variant, **vars(estimate(list(values.dropna())))}
        for variant, values in baseline_differences(tables, ablation).items()
        if values.notna().any()
    ]
    return pd.DataFrame(rows, columns=["variant", "mean", "low", "high", "n"])
