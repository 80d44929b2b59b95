"""`network`: a network's parameters, FLOPs and shapes."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.types import PositiveInt
from rich.console import Console
from rich.table import Table

from experiments.catalogue import check_known
from experiments.errors import UserError
from model.accounting import (
    cache_bytes,
    flops_by_component,
    flops_per_token,
    parameter_count,
    parameters_by_component,
)
from model.config import ModelConfig
from model.presets import PRESETS, PUBLISHED


def network(
    name: str = "",
    /,
    *changes: str,
    time: Annotated[PositiveInt, Parameter(help="Tokens of the input that shapes are of.")] = 1,
) -> None:
    """Print the parameters, FLOPs and shapes of a paper's network NAME, or of a network that
    differs from it: `vaswani-base tie_embeddings=false vocab_size=32000`. Without a name, print
    the list of names.
    """
    console = Console(highlight=False, soft_wrap=True)
    if not name:
        console.print(_presets())
        return
    check_known("network", [name], PRESETS)
    values = parse_changes(changes)
    check_known("field", values, [field.name for field in fields(ModelConfig)])
    try:
        config = replace(PRESETS[name], **values)
        shapes = _shapes(config, time)
    except ValueError as error:
        raise UserError(str(error)) from None
    console.print(_costs(config))
    if name in PUBLISHED and not changes:
        console.print(f"published: {PUBLISHED[name]}")
    length = config.context_length
    console.print(
        f"per token at {length:,} tokens: {flops_per_token(config):,.0f} FLOPs forward,"
        f" {flops_per_token(config, backward=True):,.0f} with backward; cache of one sequence:"
        f" {cache_bytes(config, length, 2):,} bytes in 16 bits\n"
    )
    console.print(shapes)


def _presets() -> Table:
    table = Table("network", "family", "published")
    table.add_column("parameters", justify="right")
    for name, config in PRESETS.items():
        table.add_row(name, config.family, PUBLISHED[name], f"{parameter_count(config):,}")
    return table


def _costs(config: ModelConfig) -> Table:
    """Parameters and FLOPs per token, by component."""
    parameters, flops = parameters_by_component(config), flops_by_component(config)
    all_parameters, all_flops = sum(parameters.values()), sum(flops.values())
    table = Table("component", show_footer=True)
    table.columns[0].footer = "total"
    table.add_column("parameters", f"{all_parameters:,}", justify="right")
    table.add_column("share", "100.0 %", justify="right")
    table.add_column("FLOPs per token", f"{all_flops:,.0f}", justify="right")
    table.add_column("share", "100.0 %", justify="right")
    for component, count in parameters.items():
        table.add_row(
            component,
            f"{count:,}",
            f"{100 * count / all_parameters:.1f} %",
            f"{flops[component]:,.0f}",
            f"{100 * flops[component] / (all_flops or 1):.1f} %",
        )
    return table


def _shapes(config: ModelConfig, time: int) -> Table:
    """Every module's steps, with the shapes of their results."""
    from model.networks.trace import shape_trace

    table = Table()
    table.add_column("module", overflow="fold")
    table.add_column("step")
    table.add_column("shape")
    table.add_column("parameters", justify="right")
    for module, step, shape, count in shape_trace(config, time):
        table.add_row(module, step, " × ".join(map(str, shape)), f"{count:,}" if count else "")
    return table


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """Values by field from texts FIELD=VALUE. A value is JSON or a word.

    Raises:
        UserError: a text is not FIELD=VALUE.
    """
    values = {}
    for change in changes:
        field, equals, text = change.partition("=")
        if not field or not equals:
            raise UserError(f"{change!r} must be FIELD=VALUE, as in n_heads=2")
        try:
            values[field] = json.loads(text)
        except json.JSONDecodeError:
            values[field] = text
    return values
