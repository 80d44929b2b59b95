"""The progress displays: bars on a terminal, and lines elsewhere."""

import io

import pytest
from rich.console import Console

from experiments.recipe import Recipe
from experiments.running.executor import Finished, Progress, Started
from experiments.running.progress import Bars, Lines
from experiments.spec import RunSpec
from model import ModelConfig


@pytest.fixture
def specs(config: ModelConfig, recipe: Recipe) -> list[RunSpec]:
    common = {"model": config, "recipe": recipe, "corpus": "c"}
    return [RunSpec(seed=seed, **common) for seed in (0, 1)]


def labels(specs: list[RunSpec]) -> dict[str, str]:
    return {spec.run_id: f"seed {spec.seed} odd/[red]name" for spec in specs}


def test_bars_show_every_run_in_progress_and_the_whole_study(specs: list[RunSpec]):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=140)
    with Bars(console, specs, labels(specs)) as bars:
        bars.show(Started(specs[0]), "")
        bars.show(Progress(specs[0], 3, 1.2345, 45678.0), "")
        bars.bars.refresh()
        during = output.getvalue()
        bars.show(Started(specs[0]), "")  # started again on another machine
        bars.show(Finished(specs[0]), "validation loss 1.0 in 2 s")
        left = {task.description.strip(): task.completed for task in bars.bars.tasks}
    assert "seed 0 odd/[red]name" in during
    assert "loss 1.234" in during
    assert "45,678 tokens/s" in during
    assert "3/6" in during
    assert left == {"all runs": 1}


def test_lines_are_printed_for_finished_runs_only(specs: list[RunSpec]):
    output = io.StringIO()
    with Lines(Console(file=output, width=200), specs, labels(specs)) as lines:
        for spec in specs:
            lines.show(Started(spec), "")
            lines.show(Progress(spec, 3, 1.0, 1.0), "")
            lines.show(Finished(spec), "diverged: the loss was nan")
    printed = output.getvalue().splitlines()
    assert len(printed) == 2
    assert printed[0].startswith("[1/2] seed 0 odd/[red]name: diverged: the loss was nan (")
    assert printed[1].endswith("(0:00 left)")
