"""The interface of executors: the events of a stream of runs, and the `Executor` protocol."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.running.job import Job
from experiments.spec import RunSpec


@dataclass(frozen=True)
class Started:
    """A worker has started the run."""

    spec: RunSpec


@dataclass(frozen=True)
class Progress:
    """The run has reached `step`.

    loss: mean training loss since the last point, in nats per token.
    tokens_per_second: training tokens per second since the run started.
    """

    spec: RunSpec
    step: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True)
class Finished:
    """The run is over; the summary in its run folder says how it ended.

    here: whether this call has trained the run, and not another process that shares the folder.
    """

    spec: RunSpec
    here: bool = True


Event = Started | Progress | Finished


class Executor(Protocol):
    """Carries out runs, several at a time."""

    def resolve_device(self, wanted: str) -> str:
        """The device for `wanted`: "cuda", "mps" or "cpu". "auto" is the best device present.

        Raises:
            UserError: the executor has no such device.
        """

    def slots(self, device: str, slots_per_gpu: int, jobs: int | None) -> list[str]:
        """The torch device of every run that may run at the same time.

        The list has `jobs` entries, or as many as the hardware allows if `jobs` is None.
        """

    def run(self, specs: Sequence[RunSpec], job: Job, slots: Sequence[str]) -> Generator[Event]:
        """Carry out all runs, each with a summary at the end. Closing the generator stops them."""
