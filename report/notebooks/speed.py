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

# %%
from pathlib import Path

from report.figures.speed import (
    base_runs_table,
    baseline_table,
    speed_by_size,
    step_table,
    time_to_loss,
)
from report.study.tables import Tables

tables = Tables.load(Path(results))

# %%
baseline_table(tables)

# %%
base_runs_table(tables)

# %%
step_table(tables)

# %%
time_to_loss(tables)

# %%
speed_by_size(tables)
