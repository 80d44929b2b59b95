"""Telling the user how it goes: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from experiments.running import local as executor
from experiments.spec import RunSpec


class Display(Protocol):
    """What the runner tells of its events."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def show(self, event: executor.Event, outcome: str) -> None:
        """Tell of an event; `outcome` says how a finished run ended."""

    def say(self, line: str) -> None:
        """Print a line."""


class _Clock:
    """How much of the work is done, by cost, and how long the rest will take."""

    def __init__(self, specs: list[RunSpec]) -> None:
        self.began = time.monotonic()
        self.total = sum(spec.flops for spec in specs)
        self.finished = 0.0
        self.partly: dict[str, float] = {}

    def note(self, event: executor.Event) -> None:
        if isinstance(event, executor.Progress):
            share = event.step / event.spec.recipe.steps
            self.partly[event.spec.run_id] = share * event.spec.flops
        elif isinstance(event, executor.Finished):
            self.partly.pop(event.spec.run_id, None)
            self.finished += event.spec.flops

    def left(self) -> str:
        # a bigram alone has no arithmetic
        done = (self.finished + sum(self.partly.values())) / (self.total or 1.0)
        if done < 0.002:
            return "--:-- left"
        seconds = (time.monotonic() - self.began) * (1 - done) / done
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} left"


class Bars:
    """An overall bar with the time left, and a row for each run at work."""

    def __init__(self, console: Console, specs: list[RunSpec], labels: Mapping[str, str]) -> None:
        self.labels = labels
        self.clock = _Clock(specs)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),  # a name may have brackets
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self.overall = self.bars.add_task("all runs", total=len(specs), note="")
        self.rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, event: executor.Event, outcome: str) -> None:
        self.clock.note(event)
        run_id = event.spec.run_id
        match event:
            case executor.Started() if run_id not in self.rows:  # else begun again elsewhere
                self.rows[run_id] = self.bars.add_task(
                    f"  {self.labels[run_id]}", total=event.spec.recipe.steps, note=""
                )
            case executor.Progress() if run_id in self.rows:
                note = f"loss {event.loss:.3f}  {event.tokens_per_second:,.0f} tokens/s"
                self.bars.update(self.rows[run_id], completed=event.step, note=note)
            case executor.Finished():
                if run_id in self.rows:  # and not lost before its first word
                    self.bars.remove_task(self.rows.pop(run_id))
                self.bars.advance(self.overall)
        self.bars.update(self.overall, note=self.clock.left())

    def say(self, line: str) -> None:
        self.bars.console.print(line, highlight=False, markup=False)


class Lines:
    """A line for every run that is over."""

    def __init__(self, console: Console, specs: list[RunSpec], labels: Mapping[str, str]) -> None:
        self.console = console
        self.labels = labels
        self.clock = _Clock(specs)
        self.count, self.total = 0, len(specs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: executor.Event, outcome: str) -> None:
        self.clock.note(event)
        if isinstance(event, executor.Finished):
            self.count += 1
            label = self.labels[event.spec.run_id]
            self.say(f"[{self.count}/{self.total}] {label}: {outcome} ({self.clock.left()})")

    def say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def display(specs: list[RunSpec], labels: Mapping[str, str]) -> Display:
    """Bars on a terminal, lines elsewhere. `labels` names each run for people."""
    console = Console()
    kind: type[Bars] | type[Lines] = Bars if console.is_terminal else Lines
    return kind(console, specs, labels)
