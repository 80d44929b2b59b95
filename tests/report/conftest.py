"""A page of planted results, built once for all tests that read it."""

import shutil
from pathlib import Path

import pytest
from building import Built, build_in
from helping import ROOT
from planted import Effects, plant


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The page of a study with an odd name, a diverged run, a failed one and a missing one
    at budget 1, and all runs at budget 4.

    It is built in a copy of the code in which the planted ablation is the only one, as a user
    would have added it: one file more in the folder.
    """
    checkout = tmp_path_factory.mktemp("checkout")
    for package in ("model", "experiments", "report"):
        shutil.copytree(ROOT / package, checkout / package)
    for file in (checkout / "experiments" / "ablations").glob("[a-z]*.py"):
        file.unlink()
    source = (Path(__file__).parent / "planted.py").read_text()
    (checkout / "experiments" / "ablations" / "planted.py").write_text(source)
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as monkeypatch:
        first: Effects = [0.5, 0.52, "diverged", "failed", None, 0.48]
        plant(results, monkeypatch, first, deeper=[0.7, 0.73, 0.71, 0.69, 0.7, 0.68])
    done = build_in(checkout, results)
    return Built((results / "report.html").read_text(), done, checkout, results)
