"""Reading a table of runs: CSV, parquet or JSON lines."""

from pathlib import Path

import pandas as pd


def read_runs(file: Path) -> pd.DataFrame:
    """The table in a file, by the ending of its name: .csv, .parquet or .jsonl.

    Raises:
        ValueError: there is no such file, its name ends otherwise, it cannot be read, or it has no
            row.
    """
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    text = {"variant": str}  # a variant may be called 1
    try:
        if file.suffix == ".csv":
            runs = pd.read_csv(file, dtype=text)
        elif file.suffix == ".parquet":
            runs = pd.read_parquet(file)
        elif file.suffix == ".jsonl":
            runs = pd.read_json(file, lines=True, dtype=text, precise_float=True)
        else:
            raise ValueError("its name must end in .csv, .parquet or .jsonl")
    except ValueError as error:  # of pandas, of pyarrow, and of undecodable bytes
        raise ValueError(f"{file}: {str(error).strip()}") from None
    if runs.empty:
        raise ValueError(f"{file} has no run")
    return runs
