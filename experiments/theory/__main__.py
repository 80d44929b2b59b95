"""Write the theory tables of a study: `python -m experiments.theory RESULTS`."""

import sys
from pathlib import Path

import torch

from experiments.records.collect import write_table
from experiments.theory import checks, derivations, encodings


def main(results: Path) -> None:
    """Compute the three tables and write them into a results folder."""
    theory = derivations.rows()
    with torch.no_grad():
        write_table(results, "identities", checks.rows(theory))
        write_table(results, "encodings", encodings.rows())
    write_table(results, "theory", theory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
