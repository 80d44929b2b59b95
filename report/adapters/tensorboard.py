"""TensorBoard's event files, read by TensorBoard."""

from collections.abc import Sequence
from pathlib import Path

from report.adapters.logged_runs import LoggedRun


def event_runs(folder: Path, files: Sequence[Path]) -> list[LoggedRun]:
    """The runs whose event files are in a folder: a run per folder of files, named by its path.

    Raises:
        ValueError: TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise ValueError(
            "TensorBoard is not installed, which reads *tfevents*: make setup EXTRAS=tensorboard"
        ) from None
    runs = []
    for place in sorted({file.parent for file in files}):
        run = LoggedRun(place.relative_to(folder).as_posix())
        events = EventAccumulator(str(place), size_guidance={"scalars": 0})  # 0 keeps all
        events.Reload()
        for metric in events.Tags()["scalars"]:
            for event in events.Scalars(metric):
                run.log(metric, event.value, event.step)
        runs.append(run)
    return runs
