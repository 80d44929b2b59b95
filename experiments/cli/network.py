"""`network`: what a network consists of, and what it costs."""

from dataclasses import fields, replace

import click
from rich.console import Console
from rich.table import Table

from experiments.cli.options import field_and_value, one_of
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


@click.command()
@click.argument("name", required=False)
@click.argument("changes", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--time", type=click.IntRange(1), default=1, help="tokens of the shape trace")
def network(name: str | None, changes: tuple[str, ...], time: int) -> None:
    """Parameters, arithmetic and shapes of a paper's network NAME, or of one that differs from it:
    `vaswani-base tie_embeddings=false vocab_size=32000`. Without a name, the list of names.
    """
    console = Console(highlight=False, soft_wrap=True)
    if name is None:
        console.print(_presets())
        return
    try:
        config = _changed(name, changes)
        shapes = _shapes(config, time)
    except ValueError as error:
        raise UserError(str(error)) from None
    console.print(_parameters(config))
    if name in PUBLISHED and not changes:
        console.print(f"published: {PUBLISHED[name]}")
    length = config.context_length
    console.print(
        f"per token at {length:,} tokens: {flops_per_token(config):,.0f} FLOPs forward,"
        f" {flops_per_token(config, backward=True):,.0f} with backward; cache of one sequence:"
        f" {cache_bytes(config, length, 2):,} bytes in 16 bits\n"
    )
    console.print(shapes)


def _changed(name: str, changes: tuple[str, ...]) -> ModelConfig:
    """The preset with each FIELD=VALUE.

    Raises:
        UserError: there is no such network or field.
        ValueError: a value cannot work.
    """
    one_of("network", [name], list(PRESETS))
    values = dict(field_and_value(change) for change in changes)
    one_of("field", list(values), [field.name for field in fields(ModelConfig)])
    return replace(PRESETS[name], **values)


def _presets() -> Table:
    table = Table("network", "family", "published")
    table.add_column("parameters", justify="right")
    for name, config in PRESETS.items():
        count = f"{parameter_count(config):,}"
        table.add_row(name, config.family, PUBLISHED[name], count)
    return table


def _parameters(config: ModelConfig) -> Table:
    table = Table("component", show_footer=True)
    parameters, flops = parameters_by_component(config), flops_by_component(config)
    total, work = sum(parameters.values()), sum(flops.values())
    table.columns[0].footer = "total"
    table.add_column("parameters", f"{total:,}", justify="right")
    table.add_column("share", "100.0 %", justify="right")
    table.add_column("FLOPs per token", f"{work:,.0f}", justify="right")
    table.add_column("share", "100.0 %", justify="right")
    for component, count in parameters.items():
        done = flops[component]
        shares = [f"{part:.1%}".replace("%", " %") for part in (count / total, done / (work or 1))]
        table.add_row(component, f"{count:,}", shares[0], f"{done:,.0f}", shares[1])
    return table


def _shapes(config: ModelConfig, time: int) -> Table:
    from model.networks.trace import shape_trace

    table = Table()
    table.add_column("module", overflow="fold")
    table.add_column("step")
    table.add_column("shape")
    table.add_column("parameters", justify="right")
    for module, what, shape, held in shape_trace(config, time):
        table.add_row(module, what, " × ".join(map(str, shape)), f"{held:,}" if held else "")
    return table
