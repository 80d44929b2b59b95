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

from report.figures.costs import cost_curves, cost_table
from report.figures.forest import forest
from report.figures.heads import head_table, logit_table, pruning_curve
from report.figures.layers import depth_grid, layer_gradients
from report.figures.learning_rates import rate_search, schedules
from report.figures.positions import encodings, loss_by_length, loss_by_position
from report.figures.training_curves import learning_curves, learning_curves_by_cost
from report.html import heading
from report.page.budgets import loss_by_budget, shown_note, tuning_table
from report.page.claims import claims_of, rules, verdict_table
from report.page.variant_tables import changes_table, metrics_table, samples
from report.verdicts.tables import Tables

tables = Tables.load(Path(results))
claims = claims_of(Path(results), ablation)

# %%
shown_note(tables, ablation)

# %%
HTML(heading(f"{ablation}-differs", "Variants"))

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
learning_curves_by_cost(tables, ablation)

# %%
rate_search(tables, ablation)

# %%
tuning_table(tables, ablation)

# %%
HTML(heading(f"{ablation}-ends", "Final results"))

# %%
metrics_table(tables, ablation)

# %%
loss_by_budget(tables, ablation)

# %%
forest(tables, [ablation])

# %%
further_figures = [
    figure(tables, ablation)
    for figure in (
        depth_grid,
        cost_curves,
        cost_table,
        logit_table,
        loss_by_position,
        loss_by_length,
        layer_gradients,
        head_table,
        pruning_curve,
        samples,
    )
]
if outputs := [figure for figure in further_figures if figure.data]:
    display(HTML(heading(f"{ablation}-closer", "Further measurements")))
    display(*outputs)
