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

from report.figures import forest
from report.sections import claims_of, opening, verdict_table
from report.tables import Tables

tables = Tables.load(Path(results))
claims = claims_of(Path(results))

# %%
opening(tables, claims)

# %%
verdict_table(claims, link=True)

# %%
forest(tables, tables.present())
