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

from report.html import heading
from report.page.provenance import citation, facts, failures, ledger
from report.page.published import against_reference
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))

# %%
facts(tables)

# %%
HTML(heading("method-runs", "Runs"))

# %%
failures(tables)

# %%
ledger(tables)

# %%
HTML(heading("method-reference", "Comparison with the published results"))

# %%
against_reference(tables)

# %%
HTML(heading("method-cite", "How to cite"))

# %%
citation(tables)
