"""`calibrate`: train nanoGPT's recipes in this code, beside the losses that nanoGPT publishes."""

from pathlib import Path

from experiments.benchmarks import calibration
from experiments.cli.options import Data, Device, Jobs, Results, Seeds
from experiments.data.corpus import prepare_corpus
from experiments.records.collect import write_table
from experiments.records.provenance import environment
from experiments.running.devices import resolve_device, slots
from experiments.running.job import Job
from experiments.running.lock import results_lock
from experiments.running.runner import train_apart

_SEEDS = 5


def calibrate(
    *,
    device: Device = "auto",
    jobs: Jobs = None,
    seeds: Seeds = None,
    results: Results = Path("results"),
    data: Data = Path("data"),
) -> int:
    """Train nanoGPT's recipes for this machine, with five seeds each by default."""
    resolved = resolve_device(device)
    corpus, folder = prepare_corpus("tinyshakespeare", data), results / "calibration"
    specs = {
        (recipe.name, seed): calibration.spec_of(
            corpus, recipe.network, calibration.full_evaluation(recipe, corpus), seed
        )
        for recipe in calibration.PUBLISHED
        if recipe.device in (resolved, "cpu")  # a GPU can train a recipe for a processor
        for seed in range(seeds or _SEEDS)
    }
    labels = {spec.run_id: f"{name}, seed {seed}" for (name, seed), spec in specs.items()}
    with results_lock(folder):
        job = Job(corpus, folder, environment())
        train_apart(list(specs.values()), labels, job, slots(resolved, 1, jobs))
        rows = calibration.rows(specs, folder)
        write_table(folder, "calibration", rows)
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        print(f"failed: {row['recipe']}, seed {row['seed']}: {row['reason']}")
    print(f"wrote {folder / 'calibration.parquet'}: `make report` shows it")
    return 1 if failed else 0
