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

from experiments.records.collect import read_table
from report.figures.theory import gradient_figure, scores_figure, topic

theory = read_table(Path(results), "theory")

# %%
topic(theory, "scaled-dot-products")

# %%
topic(theory, "softmax-saturation")

# %%
scores_figure(theory)

# %%
topic(theory, "residual-path")

# %%
gradient_figure(theory)

# %%
topic(theory, "permutation")

# %%
topic(theory, "factorisation")

# %%
topic(theory, "head-cost")

# %%
topic(theory, "quadratic-cost")

# %%
topic(theory, "parameter-counts")
