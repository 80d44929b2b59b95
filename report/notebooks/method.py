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

from report.html import heading
from report.page.provenance import citation, facts, failures, ledger
from report.page.published import against_reference
from report.page.summary import study_facts
from report.study.tables import Tables

tables = Tables.load(Path(results))

# %%
study_facts(tables)

# %% tags=["folded"]
facts(tables)

# %%
heading("Runs")

# %%
failures(tables)

# %%
ledger(tables)

# %%
heading("Comparison with the published results")

# %%
against_reference(tables)

# %%
heading("How to cite")

# %%
citation(tables)
