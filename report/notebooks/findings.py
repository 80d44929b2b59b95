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

from report.figures.model_diagram import picture
from report.page.claims import claims_of
from report.page.removals import costs_by_part, removals_of
from report.page.second_studies import second_studies, second_verdicts
from report.page.summary import glossary, opening
from report.page.tour import tour
from report.page.trust import trust
from report.page.verdict_map import verdict_map
from report.study.tables import Tables

tables = Tables.load(Path(results))
claims, second = claims_of(Path(results)), second_verdicts(tables)

# %%
opening(tables, claims)

# %%
verdict_map(tables, claims, second)

# %%
trust(tables, claims, second)

# %%
glossary()

# %%
tour(tables, claims)

# %%
picture(tables, costs_by_part(tables, removals_of(tables, claims)))

# %% tags=["folded"]
second_studies(claims, second)
