"""MLflow's databases, read by MLflow."""

import os
import shutil
import tempfile
from pathlib import Path

from report.adapters.logged_runs import LoggedRun

_SQLITE = b"SQLite format 3\0"  # with which every database of SQLite begins


def database_runs(file: Path) -> list[LoggedRun]:
    """The runs of all experiments in a SQLite database, without those that were deleted.

    Parameters and tags of a run are its config. MLflow writes into a database that it opens, so a
    copy is read.

    Raises:
        ValueError: MLflow is not installed, or the file is no database of its version.
    """
    # MLflow reports its use to its makers, and logs each table, unless told otherwise.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise ValueError(
            "MLflow is not installed, which reads its databases: make setup EXTRAS=mlflow"
        ) from None
    with file.open("rb") as database:
        if database.read(len(_SQLITE)) != _SQLITE:
            raise ValueError(f"{file} is no SQLite database")
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, folder)
        try:
            client = MlflowClient(tracking_uri=f"sqlite:///{copy}")
            experiments = [each.experiment_id for each in client.search_experiments()]
            found, runs = client.search_runs(experiments), []
            while True:
                runs += [_logged(client, run) for run in found]
                if not found.token:
                    return runs
                found = client.search_runs(experiments, page_token=found.token)
        except (MlflowException, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"MLflow cannot read {file}: {reason}") from None


def _logged(client, run) -> LoggedRun:  # type: ignore[no-untyped-def]  # MLflow may be missing
    logged = LoggedRun(run.info.run_name, run.data.tags | run.data.params)
    for metric in run.data.metrics:
        # in the order of steps: the last value is that of the last step
        history = client.get_metric_history(run.info.run_id, metric)
        for each in sorted(history, key=lambda each: (each.step, each.timestamp)):
            logged.log(metric, each.value, each.step)
    return logged
