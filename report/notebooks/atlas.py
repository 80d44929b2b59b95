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

from report.figures.heads import grids, scores, viewer
from report.study.tables import Tables

tables = Tables.load(Path(results))

# %%
viewer(tables)

# %% tags=["folded"]
grids(tables)

# %% tags=["folded"]
scores(tables)
