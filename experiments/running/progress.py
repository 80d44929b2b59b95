"""Progress display: bars on a terminal, one line per finished run elsewhere."""

import time
from collections.abc import Mapping
from typing import Self

from rich import progress as rich_progress
from rich.console import Console

from experiments.running.executor import Event, Finished, Progress, Started
from experiments.spec import RunSpec


class RemainingTime:
    """Estimates the remaining time from the FLOPs done so far and the time they took."""

    def __init__(self, specs: list[RunSpec]) -> None:
        self.began = time.monotonic()
        self.total = sum(spec.flops for spec in specs)
        self.done: dict[str, float] = {}  # FLOPs by run id

    def update(self, event: Event) -> None:
        """Count the steps that the event reports."""
        if isinstance(event, Progress):
            share = event.step / event.spec.recipe.steps
            self.done[event.spec.run_id] = share * event.spec.flops
        elif isinstance(event, Finished):
            self.done[event.spec.run_id] = event.spec.flops

    def __str__(self) -> str:
        share = sum(self.done.values()) / (self.total or 1.0)  # bigrams alone have no FLOPs
        if share < 0.002:
            return "--:-- left"
        minutes, seconds = divmod(int((time.monotonic() - self.began) * (1 - share) / share), 60)
        return f"{minutes}:{seconds:02d} left"


class Lines:
    """Prints a line for every finished run. Used as a context manager.

    specs: the runs that will be carried out.
    labels: a name for every run, by run id.
    """

    def __init__(self, console: Console, specs: list[RunSpec], labels: Mapping[str, str]) -> None:
        self.console, self.labels = console, labels
        self.remaining = RemainingTime(specs)
        self.finished, self.total = 0, len(specs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: Event, outcome: str) -> None:
        """Display an event; `outcome` says how a finished run ended."""
        self.remaining.update(event)
        if isinstance(event, Finished):
            self.finished += 1
            label = self.labels[event.spec.run_id]
            self.say(f"[{self.finished}/{self.total}] {label}: {outcome} ({self.remaining})")

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


class Bars(Lines):
    """Shows a bar for the study, with the remaining time, and a bar for every run in progress."""

    def __init__(self, console: Console, specs: list[RunSpec], labels: Mapping[str, str]) -> None:
        super().__init__(console, specs, labels)
        self.bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),  # names may have brackets
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[note]}", markup=False),
            rich_progress.TimeElapsedColumn(),
            console=console,
        )
        self.study = self.bars.add_task("all runs", total=self.total, note="")
        self.runs: dict[str, rich_progress.TaskID] = {}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, event: Event, outcome: str) -> None:
        """Display an event; the outcome of a run is not shown."""
        self.remaining.update(event)
        run_id = event.spec.run_id
        match event:
            case Started() if run_id not in self.runs:  # a run whose node was lost starts again
                steps = event.spec.recipe.steps
                label = f"  {self.labels[run_id]}"
                self.runs[run_id] = self.bars.add_task(label, total=steps, note="")
            case Progress() if run_id in self.runs:
                note = f"loss {event.loss:.3f}  {event.tokens_per_second:,.0f} tokens/s"
                self.bars.update(self.runs[run_id], completed=event.step, note=note)
            case Finished():
                if run_id in self.runs:  # a run whose node was lost may have no Started event
                    self.bars.remove_task(self.runs.pop(run_id))
                self.bars.advance(self.study)
        self.bars.update(self.study, note=str(self.remaining))


def display(specs: list[RunSpec], labels: Mapping[str, str]) -> Lines:
    """The display for standard output: bars on a terminal, lines elsewhere."""
    console = Console()
    return (Bars if console.is_terminal else Lines)(console, specs, labels)
