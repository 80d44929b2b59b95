"""Commands that trained runs, and how each spent its time: the file `calls.jsonl`."""

import json
from pathlib import Path
from typing import Any

from experiments.files import open_unlinked, seal, unseal


def record_call(results: Path, **call: Any) -> None:
    """Append a line to `calls.jsonl`. `call` has the columns of the table `calls`."""
    with open_unlinked(results / "calls.jsonl", "ab") as file:
        # A kill may have left the last line half written: the new one must not continue it.
        file.write(b"\n" + json.dumps(seal(call)).encode() + b"\n")


def read_calls(results: Path) -> list[dict[str, Any]]:
    """The calls that `record_call` recorded, without damaged lines."""
    file = results / "calls.jsonl"
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [call for call in map(unseal, lines) if call]
