"""`report`, `notebook`, `compare`, `paper` and `export`: write what readers open."""

import contextlib
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil

from experiments.catalogue import check_known, load_ablations
from experiments.cli.options import AblationShown, Reference, StudyOptions
from experiments.errors import UserError
from experiments.running.lock import results_lock

_NICENESS = 5  # of a build beside training, from 0 (an equal share) to 19
# Least time from one build beside training to the next. A build takes about half a minute of two
# cores from the training.
_SECONDS_BETWEEN_BUILDS = 600.0


def report(*, study: StudyOptions = StudyOptions(), reference: Reference = False) -> int:
    """Write the page of what has been run so far, or of the published results."""
    with PageBuilder(_shown_folder(study, reference)) as page:
        return page.build(only_if_changed=reference)


def compare(*others: Path, study: StudyOptions = StudyOptions()) -> int:
    """Compare the verdicts with those of OTHERS, results folders of second studies: on another
    corpus, with other seeds or on another machine. Then write the page.
    """
    if not others:
        raise UserError("compare needs second studies: `make compare SECOND=results/other`")
    folder = study.folder
    folders = [str(other / folder.name) for other in others]
    command = [sys.executable, "-m", "report.page.second_studies", str(folder), *folders]
    with results_lock(folder), PageBuilder(folder) as page:
        status = subprocess.run(command, check=False).returncode
        return status or page.build(only_if_changed=True)


def paper(*, study: StudyOptions = StudyOptions(), reference: Reference = False) -> int:
    """Write the paper, as HTML and LaTeX, of what has been run so far, or of the published
    results.
    """
    command = [sys.executable, "-m", "report.paper.build", str(_shown_folder(study, reference))]
    return subprocess.run(command, check=False).returncode


def export(*, study: StudyOptions = StudyOptions(), reference: Reference = False) -> None:
    """Write the tables as CSV, the verdicts as JSON, and a description of every column: what the
    last page was made from, or the published tables.
    """
    from experiments.records.export import export as write_tables  # which needs pandas

    folder = _shown_folder(study, reference)
    print(f"exported {write_tables(folder, folder / 'export')} tables to {folder / 'export'}")


def notebook(
    ablation: AblationShown = "",
    /,
    *,
    study: StudyOptions = StudyOptions(),
    reference: Reference = False,
) -> int:
    """Write the section of ABLATION as an executed notebook with its code."""
    if not ablation:
        raise UserError("notebook needs ABLATION: `make notebook ABLATION=heads`")
    check_known("ablation", [ablation], load_ablations())
    folder = _shown_folder(study, reference)
    if reference:
        with PageBuilder(folder) as page:
            page.build(only_if_changed=True)
    command = [sys.executable, "-m", "report.output.notebook", str(folder), ablation]
    return subprocess.run(command, check=False).returncode


def _shown_folder(study: StudyOptions, reference: bool) -> Path:
    """The folder that is written about: the study's own, or a copy of the published tables, since
    nothing is written where these are, in git.
    """
    if not reference:
        return study.folder
    published = published_folder(study)
    shutil.copytree(published.parent, study.results / "published", dirs_exist_ok=True)
    return study.results / "published" / published.name


def published_folder(study: StudyOptions) -> Path:
    """The folder of the published tables of the study's profile.

    Raises:
        UserError: the profile is not published.
    """
    published = study.results / "reference"
    profiles = sorted(file.parent.name for file in published.glob("*/study.json"))
    if not profiles:
        raise UserError(f"there are no published results in {published}")
    check_known("published profile", [study.folder.name], profiles)
    return published / study.folder.name


class PageBuilder:
    """Builds the page of a results folder in a process of its own, one build at a time. Used as a
    context manager, which ends a build that is still going on.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self.process: subprocess.Popen[bytes] | None = None
        self.refreshed = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def busy(self) -> bool:
        """Whether a build is going on."""
        return self.process is not None and self.process.poll() is None

    def refresh(self) -> None:
        """Start building beside the training, unless the last build began a short while ago. Output
        goes to a file.
        """
        if not self.busy and time.monotonic() - self.refreshed >= _SECONDS_BETWEEN_BUILDS:
            self.refreshed = time.monotonic()
            with (self.results / "report.log").open("wb") as log:
                self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
            # Training comes first, but must not starve the build: at this value a build gets about
            # a quarter of a busy core.
            with contextlib.suppress(psutil.Error):
                psutil.Process(self.process.pid).nice(_NICENESS)

    def build(self, *, only_if_changed: bool) -> int:
        """Build the page now, and return the exit status of the build."""
        options = ["--if-changed"] if only_if_changed else []
        self.process = subprocess.Popen(self._command(*options))
        return self.process.wait()

    def stop(self) -> None:
        """End a build that is going on, with the kernels of its notebooks."""
        if self.process is None or not self.busy:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            builder = psutil.Process(self.process.pid)
            for process in [*builder.children(recursive=True), builder]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()

    def _command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "report", str(self.results), *options]
