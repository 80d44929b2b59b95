"""Runs that TensorBoard and Weights & Biases have logged are judged as a table of them is."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from experiments.claim import Claim
from experiments.cli import main as command_line
from report.adapters.folders import read_tracked
from report.adapters.logged_runs import LoggedRun, table_of
from report.verdicts.runs import judge

# Final losses by variant and seed; each is the last of the values that are logged.
LOSSES = {("pre-ln", 0): 1.25, ("pre-ln", 1): 1.5, ("post-ln", 0): 2.25, ("post-ln", 1): 2.75}
CLAIM = Claim(
    id="better",
    sentence="It is better.",
    said_by="us",
    metric="val/loss",
    effect={"post-ln": 1, "pre-ln": -1},
    margin=0.1,
    why_margin="a test",
)

WANDB = """
import sys, wandb
quiet = wandb.Settings(console="off", silent=True)
for text in sys.argv[2:]:
    variant, seed, loss = text.split(",")
    config = {"seed": int(seed), "variant": variant}
    run = wandb.init(mode="offline", project="p", name="any", config=config, dir=sys.argv[1],
                     settings=quiet)
    for step in range(300):  # more than a block of the file
        run.log({"val/loss": float(loss) + 299 - step, "note": "x" * 200}, step=step)
    run.finish()
"""

MLFLOW = """
import logging, os, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}")
places = [client.create_experiment(name) for name in ("first", "second")]
for i, text in enumerate(sys.argv[2:]):
    variant, seed, loss = text.split(",")
    run = client.create_run(places[i % 2], run_name="any").info.run_id
    client.log_param(run, "variant", variant)
    client.log_param(run, "seed", seed)
    for step in (0, 1, 3, 2):
        client.log_metric(run, "val/loss", float(loss) + 3 - step, step=step)
    client.set_terminated(run)
client.delete_run(client.create_run(places[0], run_name="deleted").info.run_id)
"""


def expected(step: int) -> pd.DataFrame:
    rows = [
        {"variant": variant, "seed": seed, "step": step, "val/loss": loss}
        for (variant, seed), loss in sorted(LOSSES.items())
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def tensorboard(tmp_path: Path) -> Path:
    pytest.importorskip("tensorboard", reason="not installed: make setup EXTRAS=tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    for (variant, seed), loss in LOSSES.items():
        with SummaryWriter(tmp_path / "logs" / variant / f"seed-{seed}") as writer:
            for step in range(12):
                writer.add_scalar("val/loss", loss + 11 - step, step)
    return tmp_path / "logs"


@pytest.fixture
def wandb(tmp_path: Path) -> Path:
    if not find_spec("wandb"):
        pytest.skip("not installed: make setup EXTRAS=wandb")
    runs = [f"{variant},{seed},{loss}" for (variant, seed), loss in LOSSES.items()]
    subprocess.run([sys.executable, "-c", WANDB, str(tmp_path), *runs], check=True)
    return tmp_path


@pytest.fixture
def mlflow(tmp_path: Path) -> Path:
    """A database with two experiments, a run that was deleted, and last values out of order."""
    if not find_spec("mlflow"):
        pytest.skip("not installed: make setup EXTRAS=mlflow")
    runs = [f"{variant},{seed},{loss}" for (variant, seed), loss in LOSSES.items()]
    subprocess.run([sys.executable, "-c", MLFLOW, str(tmp_path / "mlflow.db"), *runs], check=True)
    return tmp_path / "mlflow.db"


def test_runs_of_a_database_become_a_row_each_with_the_values_of_their_last_steps(mlflow: Path):
    before = mlflow.read_bytes()
    for place in (mlflow, mlflow.parent):
        runs = read_tracked(place).sort_values(["variant", "seed"], ignore_index=True)
        pd.testing.assert_frame_equal(runs, expected(3))
    assert mlflow.read_bytes() == before


def test_a_database_that_mlflow_cannot_read_is_refused_and_left_as_it_is(
    mlflow: Path, tmp_path: Path
):
    other = tmp_path / "other.db"
    other.write_bytes(b"SQLite format 3\0" + b"x" * 100)
    before = other.read_bytes()
    with pytest.raises(ValueError, match=r"MLflow cannot read .*other\.db: "):
        read_tracked(other)
    assert other.read_bytes() == before
    other.write_text("variant,seed,loss")
    with pytest.raises(ValueError, match=r"other\.db is no SQLite database"):
        read_tracked(other)


def test_event_files_become_a_row_per_run_with_the_last_values(tensorboard: Path):
    pd.testing.assert_frame_equal(read_tracked(tensorboard), expected(11))


def test_offline_runs_become_a_row_per_run_with_the_last_values(wandb: Path):
    runs = read_tracked(wandb).sort_values(["variant", "seed"], ignore_index=True)
    pd.testing.assert_frame_equal(runs, expected(299))


def test_a_damaged_offline_run_is_refused_and_one_that_was_cut_off_has_its_last_values(wandb: Path):
    file = sorted(wandb.rglob("*.wandb"))[0]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert sorted(read_tracked(wandb)["step"])[0] < 299
    middle = len(content) // 2
    file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(ValueError, match=r"\.wandb is damaged"):
        read_tracked(wandb)
    file.write_bytes(b"other")
    with pytest.raises(ValueError, match="is no offline run"):
        read_tracked(wandb)


def test_logged_runs_have_the_verdicts_of_their_table(tensorboard: Path):
    table = expected(11).drop(columns="step")
    pd.testing.assert_frame_equal(judge(read_tracked(tensorboard), [CLAIM]), judge(table, [CLAIM]))


def test_the_command_judges_a_folder(tensorboard: Path, tmp_path: Path, monkeypatch, capsys):
    claims = tmp_path / "claims.py"
    claims.write_text(f"from experiments.claim import Claim\nCLAIMS = [{CLAIM!r}]\n")
    words = ["experiments", "judge", str(tensorboard), "--claims", str(claims)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 0
    assert "“It is better.” " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "config", "variant", "seed"),
    [
        ("pre-ln/seed-3", {}, "pre-ln", 3),
        ("pre_ln_seed12", {}, "pre_ln", 12),
        ("heads/base/seed-200", {}, "heads/base", 200),
        ("a seed=4", {}, "a", 4),
        ("rapid-sun-7", {"variant": 1, "seed": 0}, "1", 0),
        ("b/seed-1", {"seed": 5}, "b", 5),
    ],
)
def test_variant_and_seed_are_of_the_config_or_else_of_the_name(name, config, variant, seed):
    row = table_of([LoggedRun(name, config)]).iloc[0]
    assert (row["variant"], row["seed"]) == (variant, seed)


@pytest.mark.parametrize(
    ("name", "config"), [("rapid-sun-7", {}), ("seed-3", {}), ("a/seed-1", {"seed": "x"})]
)
def test_a_run_that_does_not_say_its_variant_and_seed_is_refused(name: str, config: dict):
    with pytest.raises(ValueError, match=f"run '{name}' does not say its variant and seed"):
        table_of([LoggedRun(name, config)])


def test_a_folder_without_runs_or_with_runs_of_two_kinds_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="has none of these: TensorBoard's event files"):
        read_tracked(tmp_path)
    for name in ("events.out.tfevents.1", "run.wandb"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="has several of these: TensorBoard's event files"):
        read_tracked(tmp_path)
