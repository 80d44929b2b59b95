"""Theory, in numbers: derivations as MathML, each above what it predicts and what was measured.

Every number comes from the table "theory".
"""

import math

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from latex2mathml.converter import convert
from markupsafe import Markup
from matplotlib.axes import Axes

from report.figures.charts import show
from report.figures.derivations import DERIVATIONS
from report.html import EMPTY, details, heading, render, table
from report.verdicts.tables import records
from report.verdicts.text import plural

_LONG = 12  # rows, beyond which a table is folded away
_KEY = " Points are measured; lines are predicted where solid, and join the points where dotted."


def topic(rows: pd.DataFrame, name: str) -> HTML:
    """One topic: heading, derivation, how far off it is, and every number behind that.

    rows: the table "theory". Nothing where it has none of the topic.
    """
    some = rows[rows["topic"] == name]
    if some.empty:
        return EMPTY
    title, steps = DERIVATIONS[name]
    formulas = [(words, Markup(convert(latex, display="block"))) for words, latex in steps]
    numbers = _numbers(some)
    if len(some) > _LONG:
        numbers = details(f"All {len(some)} numbers", numbers)
    return HTML(
        render(
            "topic",
            heading=heading(f"theory-{name}", title),
            steps=formulas,
            agreement=agreement(some),
            numbers=numbers,
        )
    )


def agreement(rows: pd.DataFrame) -> str:
    """How far the predictions of some rows are from what was measured, in sentences.

    What was said by others is no prediction of the derivation, and is told apart.
    """
    is_said = rows["quantity"] == "said"
    known = rows[rows["predicted"].notna() & ~is_said]
    off = (known["measured"] - known["predicted"]).abs() / known["predicted"].abs()
    told = []
    zero = known[known["predicted"] == 0]
    off = off.drop(zero.index)
    if len(off) and off.max() == 0:
        told.append(f"{plural(len(off), 'prediction')}, exactly met.")
    elif len(off):
        worst = records(known.loc[[off.idxmax()]])[0]
        told.append(
            f"Of {plural(len(off), 'prediction')}, the furthest off is that of"
            f" {_named(worst)}: {_relative(worst['predicted'], worst['measured'])}."
        )
    for row in records(zero):
        told.append(f"Where zero is predicted, {_value(row['measured'])} was found.")
    for row in records(rows[is_said]):
        told.append(
            f"{row['setting']}: {_value(row['predicted'])} are said, {_value(row['measured'])}"
            f" counted, {_relative(row['predicted'], row['measured'])}."
        )
    if silent := int(rows["predicted"].isna().sum()):
        told.append(f"{plural(silent, 'measurement')} without a prediction.")
    return " ".join(told)


def scores_figure(rows: pd.DataFrame) -> HTML:
    """Variance of the scores, and what the softmax makes of them, against the heads' width."""
    variance = _lines(rows, "scaled-dot-products")
    softmax = _lines(rows, "softmax-saturation")
    if variance.empty or softmax.empty:
        return EMPTY
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.8))
    variance["line"] = variance["quantity"]
    _draw(left, variance)
    left.set(yscale="log", ylabel="variance")
    softmax["line"] = softmax["quantity"] + ", " + softmax["line"]
    _draw(right, softmax)
    right.set(ylabel="weight, or trace")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("width of a head, d_k")
    figure.tight_layout()
    return show(
        figure,
        alt=f"At the widest heads: {_ends(variance)}; {_ends(softmax)}.",
        caption="Dot products of unit normal queries and keys, and the softmax over them." + _KEY,
    )


def gradient_figure(rows: pd.DataFrame) -> HTML:
    """The gradient that reaches the input, against depth: random maps, and networks."""
    found = _lines(rows, "residual-path")
    if found.empty:
        return EMPTY
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.8))
    networks = found["line"].str.startswith("network")
    kinds = {"random maps": found[~networks], "networks at initialisation": found[networks]}
    for axes, (kind, some) in zip(panels, kinds.items(), strict=True):
        _draw(axes, some)
        axes.set(title=kind, xlabel="depth", yscale="log", xticks=sorted(set(some["x"])))
    panels[0].set_ylabel("gradient norm, input over output")
    figure.tight_layout()
    return show(
        figure,
        alt=f"At the greatest depth: {_ends(found)}.",
        caption="The gradient's norm at the input over that at the output. Mind the two scales."
        + _KEY,
    )


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    """A colour per line: points measured, a solid stroke where there is a prediction."""
    names = list(dict.fromkeys(rows["line"]))
    for name, colour in zip(names, sns.color_palette("colorblind", len(names)), strict=True):
        some = rows[rows["line"] == name]
        axes.plot(some["x"], some["measured"], "o", color=colour, markersize=4, label=name)
        predicted = some["predicted"].notna().any()
        heights = some["predicted"] if predicted else some["measured"]
        style = "-" if predicted else ":"
        axes.plot(some["x"], heights, style, color=colour, linewidth=1.2)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)


def _lines(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """A topic's rows with `x`, the number that their setting begins with, and `line`, the rest of
    it: "d_k = 4, scaled" has 4 and "scaled".
    """
    some = rows[rows["topic"] == name].copy()
    parts = some["setting"].str.extract(r"= (\d+)(?:, )?(.*)")
    some["x"], some["line"] = parts[0].astype(float), parts[1]
    return some


def _ends(rows: pd.DataFrame) -> str:
    last = records(rows[rows["x"] == rows["x"].max()])
    return "; ".join(f"{row['line']} {_value(row['measured'])}" for row in last)


def _numbers(rows: pd.DataFrame) -> Markup:
    lines = []
    for row in records(rows):
        predicted, measured = row["predicted"], row["measured"]
        numbers = (_value(predicted), _value(measured), _relative(predicted, measured))
        lines.append((row["setting"], row["quantity"], *numbers))
    return table(("setting", "quantity", "predicted", "measured", "difference"), lines)


def _named(row: dict[str, object]) -> str:
    return f"“{row['quantity']}” at {row['setting']}"


def _value(number: float | None) -> str:
    """A count in full, anything else to four figures."""
    if number is None or math.isnan(number):
        return "–"
    whole = float(number).is_integer() and abs(number) < 1e15
    return (f"{number:,.0f}" if whole else f"{number:.4g}").replace("-", "−")


def _relative(predicted: float | None, measured: float) -> str:
    """The measured over the predicted, less one, in percent; nothing to divide by gives a dash."""
    if not predicted:
        return "–"
    if measured == predicted:
        return "none"
    return f"{100 * (measured / predicted - 1):+.2g} %".replace("-", "−")
