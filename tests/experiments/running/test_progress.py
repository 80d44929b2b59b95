"""What the user sees while a study runs."""

import io

import pytest
from rich.console import Console

from experiments.running.local import Finished, Progress, Started
from experiments.running.progress import Bars, Lines
from experiments.spec import Recipe, RunSpec
from model import ModelConfig


@pytest.fixture
def specs(config: ModelConfig, recipe: Recipe) -> list[RunSpec]:
    common = {"model": config, "recipe": recipe, "corpus": "c"}
    return [RunSpec(seed=seed, **common) for seed in (0, 1)]


def labels(specs: list[RunSpec]) -> dict[str, str]:
    return {spec.run_id: f"seed {spec.seed} odd/[red]name" for spec in specs}


def test_bars_show_each_run_at_work_and_the_whole(specs: list[RunSpec]):
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, width=140)
    with Bars(console, specs, labels(specs)) as bars:
        bars.show(Started(specs[0]), "")
        bars.show(Progress(specs[0], 3, 1.2345, 45678.0), "")
        bars.bars.refresh()
        during = seen.getvalue()
        bars.show(Started(specs[0]), "")  # again, on another machine
        bars.show(Finished(specs[0]), "validation loss 1.0 in 2 s")
        rows = {task.description.strip(): task.completed for task in bars.bars.tasks}
    assert "seed 0 odd/[red]name" in during
    assert "loss 1.234" in during
    assert "45,678 tokens/s" in during
    assert "3/6" in during
    assert rows == {"all runs": 1}


def test_lines_tell_of_each_run_that_is_over(specs: list[RunSpec]):
    seen = io.StringIO()
    with Lines(Console(file=seen, width=200), specs, labels(specs)) as lines:
        for spec in specs:
            lines.show(Started(spec), "")
            lines.show(Progress(spec, 3, 1.0, 1.0), "")
            lines.show(Finished(spec), "diverged: the loss was nan")
    told = seen.getvalue().splitlines()
    assert len(told) == 2
    assert told[0].startswith("[1/2] seed 0 odd/[red]name: diverged: the loss was nan (")
    assert told[1].endswith("(0:00 left)")
