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
from report.page.provenance import citation, failures, how_it_was_made, ledger
from report.page.published import against_reference
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))

# %%
how_it_was_made(tables)

# %%
HTML(heading("method-runs", "The runs"))

# %%
failures(tables)

# %%
ledger(tables)

# %%
HTML(heading("method-reference", "Against the reference"))

# %%
against_reference(tables)

# %%
HTML(heading("method-cite", "How to cite"))

# %%
citation(tables)
