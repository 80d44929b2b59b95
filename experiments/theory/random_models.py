"""Predictions for random scores and random linear maps, beside random draws."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

_HEAD_WIDTHS = (4, 16, 64, 256)  # d_k
_PAIRS = 30_000  # drawn queries and keys
_KEYS = 128  # keys that a softmax runs over
_MAP_WIDTH, _DRAWS = 64, 40  # of random maps


class Comparison(NamedTuple):
    """A prediction beside a measurement. `setting` is the width, depth or length compared at."""

    setting: str
    quantity: str
    predicted: float | None
    measured: float


def scaled_dot_products() -> Iterator[Comparison]:
    """Variance of q · k for unit normal q and k (Vaswani 2017, footnote 4)."""
    for width in _HEAD_WIDTHS:
        q, k = torch.randn(2, _PAIRS, width, dtype=torch.float64)
        scores = (q * k).sum(-1)
        setting, scaled = f"d_k = {width}", scores / math.sqrt(width)
        yield Comparison(setting, "variance of q · k", width, scores.var().item())
        yield Comparison(setting, "variance of q · k / √d_k", 1, scaled.var().item())


def softmax_saturation() -> Iterator[Comparison]:
    """The largest attention weight and the trace of the softmax's Jacobian, against d_k."""
    for width in _HEAD_WIDTHS:
        q, k = torch.randn(2, 64, _KEYS, width, dtype=torch.float64)
        scores = q @ k.transpose(-2, -1)  # [64, queries, keys]
        for name, scale in (("unscaled", 1.0), ("scaled", width**-0.5)):
            weights = (scale * scores).softmax(-1)
            largest, trace = saturation(spread=scale * math.sqrt(width), keys=_KEYS)
            setting, measured = f"d_k = {width}, {name}", weights.amax(-1).mean().item()
            yield Comparison(setting, f"largest of {_KEYS} weights", largest, measured)
            slope = (weights * (1 - weights)).sum(-1).mean().item()
            yield Comparison(setting, f"trace of the Jacobian, {_KEYS} keys", trace, slope)


def saturation(spread: float, keys: int) -> tuple[float | None, float | None]:
    """Predict the saturation of a softmax over independent normal scores.

    Such a softmax is the random energy model, which freezes at a spread of √(2 ln keys) (Derrida
    1981). Below half of that, the numerator and the denominator of Σ p² can be averaged separately.
    Above it, the two largest scores share the weight, and only gaps near zero matter: with f the
    density at zero of the gap between the two largest of `keys` standard normals,
    ∫ 2 p (1 - p) gives f / spread and ∫ (1 - p) gives ln 2 · f / spread.

    Args:
        spread: standard deviation of the scores.
        keys: number of scores.

    Returns:
        The mean largest weight, and the mean trace of the Jacobian, Σ p (1 - p). None where
        neither limit holds.
    """
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    density, below = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), torch.special.ndtr(x)
    frozen = math.sqrt(2 * math.log(keys))
    if spread < frozen / 2:
        top = torch.trapezoid(keys * density * below ** (keys - 1) * torch.exp(spread * x), x)
        largest = top.item() / (keys * math.exp(spread**2 / 2))
        return largest, 1 - math.exp(spread**2) / keys
    if spread > frozen:
        gap = torch.trapezoid(density**2 * below ** (keys - 2), x).item() * keys * (keys - 1)
        return 1 - math.log(2) * gap / spread, gap / spread
    return None, None


def through_maps(depth: int, gain: float, residual: bool) -> float:
    """Measure how random linear maps change the norm of a vector.

    Args:
        depth: number of maps in the product M.
        gain: the entries of a map are independent normals of variance gain² / width.
        residual: whether the input of a map is added to the output of the map.

    Returns:
        The root mean square of ‖M v‖ over unit vectors v and draws of M. The mean over v is exact:
        ‖M‖² / width.
    """
    width = _MAP_WIDTH
    product = torch.eye(width, dtype=torch.float64).expand(_DRAWS, width, width)
    for _ in range(depth):
        maps = torch.randn(_DRAWS, width, width, dtype=torch.float64) * gain / math.sqrt(width)
        product = maps @ product + residual * product
    return math.sqrt(product.square().sum().item() / (_DRAWS * width))
