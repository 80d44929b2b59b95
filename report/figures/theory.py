"""Theory in numbers: each derivation, followed by its predictions and the measured values.

All numbers come from the table "theory".
"""

import math

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from markupsafe import Markup
from matplotlib.axes import Axes

from experiments.records.collect import is_measured, read_table
from report.figures.charts import line_tip, show
from report.html import EMPTY, details, join_html, render, table
from report.study.tables import Tables, records
from report.svg import set_tip
from report.verdicts.text import plural

_FOLDED_FROM = 13  # rows
_PUBLISHED = "said"  # quantity of a row whose "prediction" is a published number
_KEY = (
    " Points are measurements. Solid lines are predictions; dotted lines connect measurements that"
    " have no prediction."
)


# The topics that explain an ablation.
TOPICS = {
    "attention-scale": ["scaled-dot-products", "softmax-saturation"],
    "residual-norm": ["residual-path"],
    "positional-encoding": ["permutation"],
    "ladder": ["factorisation"],
    "heads": ["head-cost"],
    "context-length": ["quadratic-cost"],
    "size": ["parameter-counts"],
}


def theory_of(tables: Tables, ablation: str) -> HTML:
    """The topics that explain an ablation, with their figure; empty where there are none."""
    names = TOPICS.get(ablation, [])
    if not names or not is_measured(tables.results, "theory"):
        return EMPTY
    rows = read_table(tables.results, "theory")
    parts = [topic(rows, name) for name in names]
    if "softmax-saturation" in names:
        parts.append(scores_figure(rows))
    if "residual-path" in names:
        parts.append(gradient_figure(rows))
    return join_html(*(Markup(part.data) for part in parts))


def topic(rows: pd.DataFrame, name: str) -> HTML:
    """One topic: heading, derivation, agreement of prediction and measurement, and all numbers.

    Args:
        rows: the table "theory". Without rows of the topic, the result is empty.
        name: a template in report/templates/derivations.
    """
    rows = rows[rows["topic"] == name]
    if rows.empty:
        return EMPTY
    numbers = _number_table(rows)
    if len(rows) >= _FOLDED_FROM:
        numbers = details(f"All {len(rows)} numbers", numbers)
    return HTML(
        render(f"derivations/{name}", topic=name, agreement=agreement(rows), numbers=numbers)
    )


def agreement(rows: pd.DataFrame) -> str:
    """Sentences on how far predictions and published numbers are from the measurements."""
    is_published = rows["quantity"] == _PUBLISHED
    predicted = rows[rows["predicted"].notna() & ~is_published]
    zero = predicted[predicted["predicted"] == 0]
    nonzero = predicted.drop(zero.index)
    error = (nonzero["measured"] / nonzero["predicted"] - 1).abs()
    sentences = []
    if len(error) and error.max() == 0:
        sentences.append(
            "The only prediction is met exactly."
            if len(error) == 1
            else f"All {len(error)} predictions are met exactly."
        )
    elif len(error):
        worst = records(nonzero.loc[[error.idxmax()]])[0]
        sentences.append(
            f"The largest relative error of {plural(len(error), 'prediction')} is"
            f" {_relative(worst['predicted'], worst['measured'])},"
            f" for “{worst['quantity']}” at {worst['setting']}."
        )
    for row in records(zero):
        sentences.append(f"The prediction is zero, the measured value {_value(row['measured'])}.")
    for row in records(rows[is_published]):
        sentences.append(
            f"{row['setting']}: {_value(row['predicted'])} published, {_value(row['measured'])}"
            f" counted ({_relative(row['predicted'], row['measured'])})."
        )
    if unpredicted := int(rows["predicted"].isna().sum()):
        sentences.append(f"No prediction exists for {plural(unpredicted, 'measurement')}.")
    return " ".join(sentences)


def scores_figure(rows: pd.DataFrame) -> HTML:
    """Variance of the scores, and saturation of the softmax, against the width of a head."""
    variance = _series(rows, "scaled-dot-products")
    softmax = _series(rows, "softmax-saturation")
    if variance.empty or softmax.empty:
        return EMPTY
    variance["series"] = variance["quantity"]
    softmax["series"] = softmax["quantity"] + ", " + softmax["series"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.8))
    for axes, series in ((left, variance), (right, softmax)):
        _draw(axes, series)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("width of a head, d_k")
    left.set(yscale="log", ylabel="variance")
    right.set(ylabel="weight, or trace of the Jacobian")
    figure.tight_layout()
    return show(
        figure,
        alt=f"At the largest head width: {_last_values(variance)}; {_last_values(softmax)}.",
        caption="Dot products of standard normal queries and keys, and the softmax over the"
        " products." + _KEY,
        data=_data(variance, softmax),
    )


def gradient_figure(rows: pd.DataFrame) -> HTML:
    """Gradient norm at the input against depth, for random matrices and for networks."""
    rows = _series(rows, "residual-path")
    if rows.empty:
        return EMPTY
    of_networks = rows["series"].str.startswith("network")
    panels = {
        "random matrices": rows[~of_networks],
        "networks at initialisation": rows[of_networks],
    }
    figure, both = plt.subplots(1, 2, figsize=(9.5, 4.8))
    for axes, (title, series) in zip(both, panels.items(), strict=True):
        _draw(axes, series)
        axes.set(title=title, xlabel="depth", yscale="log", xticks=sorted(set(series["x"])))
    both[0].set_ylabel("gradient norm, input over output")
    figure.tight_layout()
    return show(
        figure,
        alt=f"At the largest depth: {_last_values(rows)}.",
        caption="Gradient norm at the input divided by the gradient norm at the output. The two"
        " panels have different scales." + _KEY,
        data=_data(rows),
    )


def _data(*series: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(series)[["series", "x", "measured", "predicted"]]


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    """Measurements as points and predictions as solid lines, in one colour per series."""
    names = list(rows["series"].unique())
    for name, colour in zip(names, sns.color_palette("colorblind", len(names)), strict=True):
        series = rows[rows["series"] == name]
        dots = axes.plot(series["x"], series["measured"], "o", color=colour, ms=4, label=name)
        line, style = series["measured"], ":"
        if series["predicted"].notna().any():
            line, style = series["predicted"], "-"
        lines = axes.plot(series["x"], line, style, color=colour, linewidth=1.2)
        for artist, values in ((*dots, series["measured"]), (*lines, line)):
            set_tip(artist, line_tip(name, series["x"], values))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)


def _series(rows: pd.DataFrame, topic: str) -> pd.DataFrame:
    """Rows of a topic, with `x` and `series` parsed from the setting.

    The setting "d_k = 4, scaled" has the `x` 4 and the `series` "scaled".
    """
    rows = rows[rows["topic"] == topic].copy()
    parts = rows["setting"].str.extract(r"= (\d+)(?:, )?(.*)")
    rows["x"], rows["series"] = parts[0].astype(float), parts[1]
    return rows


def _last_values(rows: pd.DataFrame) -> str:
    last = records(rows[rows["x"] == rows["x"].max()])
    return "; ".join(f"{row['series']} {_value(row['measured'])}" for row in last)


def _number_table(rows: pd.DataFrame) -> Markup:
    cells = [
        (
            row["setting"],
            "total, published" if row["quantity"] == _PUBLISHED else row["quantity"],
            _value(row["predicted"]),
            _value(row["measured"]),
            _relative(row["predicted"], row["measured"]),
        )
        for row in records(rows)
    ]
    return table(("setting", "quantity", "predicted", "measured", "relative error"), cells)


def _value(number: float | None) -> str:
    """An integer in full, any other number to four significant digits."""
    if number is None or math.isnan(number):
        return "–"
    whole = float(number).is_integer() and abs(number) < 1e15
    return (f"{number:,.0f}" if whole else f"{number:.4g}").replace("-", "−")


def _relative(predicted: float | None, measured: float) -> str:
    """Relative error in percent; a dash if nothing, or zero, is predicted."""
    if not predicted:
        return "–"
    if measured == predicted:
        return "none"
    return f"{100 * (measured / predicted - 1):+.2g} %".replace("-", "−")
