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

from report.figures.speed import against_plain, by_size, to_quality
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))

# %%
against_plain(tables)

# %%
to_quality(tables)

# %%
by_size(tables)
