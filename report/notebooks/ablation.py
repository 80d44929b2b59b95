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
ablation = "heads"

# %%
from pathlib import Path

from IPython.display import HTML, display

from report.figures.charts import currency_curves, forest, learning_curves
from report.figures.encodings import encodings, schedules
from report.figures.probes import (
    head_table,
    layer_gradients,
    length_curves,
    position_curves,
    pruning_curve,
    samples,
)
from report.figures.sweeps import (
    cost_curves,
    cost_table,
    depth_grid,
    logit_table,
    rate_curves,
)
from report.html import heading
from report.page.claims import claims_of, rules, verdict_table
from report.page.variant_tables import changes_table, metrics_table
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))
claims = claims_of(Path(results), ablation)

# %%
HTML(heading(f"{ablation}-differs", "What differs"))

# %%
changes_table(tables, ablation)

# %%
encodings(tables, ablation)

# %%
schedules(tables, ablation)

# %%
if len(claims):
    display(HTML(heading(f"{ablation}-verdicts", "Verdicts")))
    display(verdict_table(claims))
    display(rules(claims))

# %%
HTML(heading(f"{ablation}-curves", "Training"))

# %%
learning_curves(tables, ablation)

# %%
currency_curves(tables, ablation)

# %%
rate_curves(tables, ablation)

# %%
HTML(heading(f"{ablation}-ends", "How they ended"))

# %%
metrics_table(tables, ablation)

# %%
forest(tables, [ablation])

# %%
looks = (
    depth_grid,
    cost_curves,
    cost_table,
    logit_table,
    position_curves,
    length_curves,
    layer_gradients,
    head_table,
    pruning_curve,
    samples,
)
found = [shown for look in looks if (shown := look(tables, ablation)).data]
if found:
    display(HTML(heading(f"{ablation}-closer", "A closer look")))
    display(*found)
