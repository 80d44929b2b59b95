"""Weights & Biases' offline runs.

The package has no reader for its files in Python, but it has the messages in them. A file is a log
in LevelDB's format after a header of seven bytes: blocks of 32 KiB, in which a record stands whole
or in a first, middle and last part. Each part has a checksum, a length and a kind.
"""

import importlib
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from report.adapters.logged_runs import LoggedRun

_HEADER, _BLOCK, _PART = 7, 32768, struct.Struct("<IHB")
_FULL, _FIRST, _LAST = 1, 2, 4  # kinds of parts; 3 is a middle one


def offline_runs(files: Sequence[Path]) -> list[LoggedRun]:
    """The runs in offline files, named by their display names.

    Raises:
        ValueError: wandb is not installed, or a file is damaged.
    """
    try:
        messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    except ImportError:
        raise ValueError(
            "wandb is not installed, whose messages *.wandb holds: make setup EXTRAS=wandb"
        ) from None
    runs = []
    for file in sorted(files):
        name, config = file.parent.name, dict[str, Any]()
        run = LoggedRun(name, config)
        for content in records(file):
            record = messages.Record()
            record.ParseFromString(content)
            run.name = record.run.display_name or run.name
            for update in (*record.run.config.update, *record.config.update):
                config[update.key] = json.loads(update.value_json)
            logged = {
                item.key or ".".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            for metric, value in logged.items():
                if type(value) in (int, float) and not metric.startswith("_"):
                    run.log(metric, value, int(logged.get("_step", 0)))
        runs.append(run)
    return runs


def records(file: Path) -> Iterator[bytes]:
    """The records of a file. What follows a whole record at the end of a run that was killed is not
    there.

    Raises:
        ValueError: the header or a checksum is wrong.
    """
    content = file.read_bytes()
    if content[:4] != b":W&B":
        raise ValueError(f"{file} is no offline run of Weights & Biases")
    at, whole = _HEADER, b""
    while at + _PART.size <= len(content):
        if _BLOCK - at % _BLOCK < _PART.size:  # too little room for a part: filled with zeros
            at += _BLOCK - at % _BLOCK
            continue
        checksum, length, kind = _PART.unpack_from(content, at)
        part = content[at + _PART.size : at + _PART.size + length]
        if len(part) < length:
            return
        if zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:
            raise ValueError(f"{file} is damaged")
        at += _PART.size + length
        whole = part if kind in (_FULL, _FIRST) else whole + part
        if kind in (_FULL, _LAST):
            yield whole
