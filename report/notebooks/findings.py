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

from IPython.display import HTML

from report.figures.forest import forest
from report.figures.model_diagram import picture
from report.html import heading
from report.page.claims import claims_of, verdict_table
from report.page.second_studies import second_studies, second_verdicts
from report.page.summary import opening
from report.page.verdict_map import verdict_map
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))
claims, second = claims_of(Path(results)), second_verdicts(tables)

# %%
opening(tables, claims)

# %%
HTML(heading("findings-map", "Verdict map"))

# %%
verdict_map(tables, claims, second)

# %%
second_studies(claims, second)

# %%
picture(tables)

# %%
HTML(heading("findings-claims", "All claims and verdicts"))

# %%
verdict_table(claims, sections=tables.present())

# %%
HTML(heading("findings-forest", "All variants compared with their baselines"))

# %%
forest(tables, tables.present())
