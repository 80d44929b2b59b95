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

from report.sections import failures, how_it_was_made
from report.tables import Tables

tables = Tables.load(Path(results))

# %%
how_it_was_made(Path(results), tables)

# %%
failures(tables)
