# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
results = "results/smoke"
ablation = "heads"

# %%
from pathlib import Path

from report.figures import currency_curves, forest, learning_curves
from report.probes import (
    head_table,
    layer_gradients,
    length_curves,
    position_curves,
    pruning_curve,
    samples,
)
from report.sections import changes_table, claims_of, metrics_table, rules, verdict_table
from report.sweeps import cost_curves, cost_table, depth_grid, logit_table, rate_curves
from report.tables import Tables

tables = Tables.load(Path(results))
claims = claims_of(Path(results), ablation)

# %%
changes_table(tables, ablation)

# %%
learning_curves(tables, ablation)

# %%
currency_curves(tables, ablation)

# %%
rate_curves(tables, ablation)

# %%
metrics_table(tables, ablation)

# %%
forest(tables, [ablation])

# %%
verdict_table(claims)

# %%
rules(claims)

# %%
depth_grid(tables, ablation)

# %%
cost_curves(tables, ablation)

# %%
cost_table(tables, ablation)

# %%
logit_table(tables, ablation)

# %%
position_curves(tables, ablation)

# %%
length_curves(tables, ablation)

# %%
layer_gradients(tables, ablation)

# %%
head_table(tables, ablation)

# %%
pruning_curve(tables, ablation)

# %%
samples(tables, ablation)
