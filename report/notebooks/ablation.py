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

from report.figures.costs import cost_curves, cost_table
from report.figures.forest import difference_table, forest
from report.figures.heads import head_table, logit_table, pruning_curve
from report.figures.layers import depth_grid, layer_gradients
from report.figures.learning_rates import rate_search, schedules
from report.figures.own_probes import own_probes
from report.figures.positions import encodings, loss_by_length, loss_by_position
from report.figures.theory import theory_of
from report.figures.training_curves import difference_curves, learning_curves
from report.html import heading, side_by_side
from report.page.budgets import loss_by_budget, shown_note, tuning_gaps, tuning_table
from report.page.cards import answer, cards, reason
from report.page.claims import claims_of
from report.page.provenance import mixed_machines
from report.page.variant_tables import changes_table, metrics_table, rerun, samples
from report.study.tables import Tables

tables = Tables.load(Path(results))
tables = tables.at(tables.shown_budget(ablation))
claims = claims_of(Path(results), ablation)

# %%
answer(claims)

# %%
cards(tables, claims)

# %%
side_by_side(forest(tables, ablation), difference_curves(tables, ablation))

# %%
tuning_gaps(tables, ablation)

# %%
mixed_machines(tables, ablation)

# %%
reason(tables, ablation)

# %% tags=["folded"]
shown_note(tables, ablation)

# %% tags=["folded"]
heading("Variants")

# %% tags=["folded"]
changes_table(tables, ablation)

# %% tags=["folded"]
rerun(tables, ablation)

# %% tags=["folded"]
encodings(tables, ablation)

# %% tags=["folded"]
schedules(tables, ablation)

# %% tags=["folded"]
heading("Training")

# %% tags=["folded"]
learning_curves(tables, ablation)

# %% tags=["folded"]
rate_search(tables, ablation)

# %% tags=["folded"]
tuning_table(tables, ablation)

# %% tags=["folded"]
heading("Final results")

# %% tags=["folded"]
metrics_table(tables, ablation)

# %% tags=["folded"]
difference_table(tables, ablation)

# %% tags=["folded"]
loss_by_budget(tables, ablation)

# %% tags=["folded"]
depth_grid(tables, ablation)

# %% tags=["folded"]
cost_curves(tables, ablation)

# %% tags=["folded"]
cost_table(tables, ablation)

# %% tags=["folded"]
logit_table(tables, ablation)

# %% tags=["folded"]
loss_by_position(tables, ablation)

# %% tags=["folded"]
loss_by_length(tables, ablation)

# %% tags=["folded"]
layer_gradients(tables, ablation)

# %% tags=["folded"]
head_table(tables, ablation)

# %% tags=["folded"]
pruning_curve(tables, ablation)

# %% tags=["folded"]
own_probes(tables, ablation)

# %% tags=["folded"]
theory_of(tables, ablation)

# %% tags=["folded"]
samples(tables, ablation)
