"""Options of the command line: what a user may choose, and what is said to a wrong choice."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from experiments.data.corpus import NAMES
from experiments.data.tokenizer import BYTES, TOKENIZERS
from experiments.errors import UserError
from experiments.profiles import PROFILES, Profile
from experiments.records import provenance as hardware
from experiments.running.local import Executor, Local
from experiments.running.trackers import TRACKERS
from experiments.spec import TUNING_SEED
from model.config import nearest


class _Seconds(click.FloatRange):
    """A number of seconds, which comes to an end."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


EXECUTORS = ("local", "ray")
_VOCAB_SIZE = 1024
_AT_LEAST_ONE = click.IntRange(min=1)
_SEEDS = click.IntRange(1, TUNING_SEED)
_OPTIONS: dict[str, dict[str, Any]] = {
    "profile": {"default": "auto", "help": "auto, " + ", ".join(PROFILES)},
    "corpus": {"default": "shakespeare", "help": ", ".join(NAMES) + ", or the path of a text"},
    "tokenizer": {"default": "characters", "help": ", ".join(TOKENIZERS)},
    "vocab_size": {
        "type": click.IntRange(min=BYTES + 1),
        "help": f"of byte pairs; if not given, {_VOCAB_SIZE}",
    },
    "seeds": {"type": _SEEDS, "help": "how many; if not given, the profile decides"},
    "jobs": {"type": _AT_LEAST_ONE, "help": "runs at once; if not given, the machine decides"},
    "executor": {"default": "local", "help": ", ".join(EXECUTORS)},
    "device": {"default": "auto", "help": ", ".join(hardware.DEVICES)},
    "precision": {"default": "auto", "help": ", ".join(hardware.PRECISIONS)},
    "compile": {"type": bool, "default": False, "help": "1: torch.compile, in every training"},
    "checkpoint_seconds": {
        "type": _Seconds(min=0),
        "default": 10,
        "help": "at least, between two checkpoints of a run",
    },
    "run_timeout": {
        "type": _Seconds(min=0, min_open=True),
        "help": "seconds after which a run is taken to hang, and is ended",
    },
    "all": {"type": bool, "default": False, "help": "1: all finished runs, and not a few"},
    "reference": {"type": bool, "default": False, "help": "1: the published results, not your own"},
    "fail_fast": {"type": bool, "default": False, "help": "1: stop at the first run that fails"},
    "tracker": {"default": "none", "help": ", ".join(TRACKERS)},
    "slots_per_gpu": {"type": _AT_LEAST_ONE, "help": "runs at once on each; else the profile's"},
}
VARIABLES = frozenset(name.upper() for name in _OPTIONS)  # of the environment, that choose them
_FOLDERS = {"results": "folder for results", "data": "folder for corpora"}


def takes(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for a command; all but the folders can come from the environment as well."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            if name in _FOLDERS:
                option = click.option(
                    f"--{name}", type=Path, default=Path(name), help=_FOLDERS[name]
                )
            else:
                flag = "--" + name.replace("_", "-")
                option = click.option(flag, envvar=name.upper(), **_OPTIONS[name])
            command = option(command)
        return command

    return add


def profile_named(name: str, device: str) -> Profile:
    """The profile that is named; for "auto", the one for the device, which "auto" may be too.

    Raises:
        UserError: there is no such profile or device.
    """
    one_of("profile", [name], ["auto", *PROFILES])
    one_of("device", [device], list(hardware.DEVICES))
    if name == "auto":
        resolved = hardware.resolve_device("auto") if device == "auto" else device
        name = "gpu" if resolved == "cuda" else "cpu"
    return PROFILES[name]


def executor_named(name: str) -> Executor:
    """One of EXECUTORS, ready to run.

    Raises:
        UserError: what it needs is not installed.
    """
    if name == "local":
        return Local()
    hardware.environment()  # before Ray puts packages of its own where packages are looked for
    try:
        from experiments.running.ray import Ray  # seconds, and packages that few need
    except ImportError:
        raise UserError("EXECUTOR=ray needs Ray: `make setup EXTRAS=ray` installs it") from None
    return Ray()


def place_and_profile(executor: str, device: str, profile: str) -> tuple[Executor, str, Profile]:
    """Where to run, on what device, which profile; what is not known is said before Ray starts.

    Raises:
        UserError: there is no such executor, device or profile.
    """
    one_of("executor", [executor], list(EXECUTORS))
    one_of("device", [device], list(hardware.DEVICES))
    one_of("profile", [profile], ["auto", *PROFILES])
    where = executor_named(executor)
    device = where.resolve_device(device)
    return where, device, profile_named(profile, device)


def slots_per_gpu_of(profile: Profile, device: str, asked: int | None) -> int:
    """As many as were asked for, or as the profile says.

    Raises:
        UserError: they were asked for on another device.
    """
    if asked and device != "cuda":
        raise UserError(f"SLOTS_PER_GPU is for the device cuda, and this is {device}: use JOBS")
    return asked or profile.slots_per_gpu


def one_of(what: str, given: list[str], allowed: list[str]) -> None:
    """Refuse what is not allowed.

    Raises:
        UserError: naming it, and the nearest that is.
    """
    for value in given:
        if value not in allowed:
            hint = nearest(value, allowed) or ","
            raise UserError(f"unknown {what} '{value}'{hint} there are {', '.join(allowed)}")


def byte_pairs(tokenizer: str, vocab_size: int | None) -> int | None:
    """How many byte pairs a text is turned into; None for characters.

    Raises:
        UserError: the tokenizer is not known, or a text's characters are as many as they are.
    """
    one_of("tokenizer", [tokenizer], list(TOKENIZERS))
    if tokenizer == "bpe":
        return vocab_size or _VOCAB_SIZE
    if vocab_size:
        raise UserError(
            "VOCAB_SIZE is for TOKENIZER=bpe: how many characters there are, a text says"
        )
    return None


def field_and_value(change: str) -> tuple[str, Any]:
    """A FIELD=VALUE in two; the value is as in JSON, or a word.

    Raises:
        UserError: it is something else.
    """
    field, equals, text = change.partition("=")
    if not field or not equals:
        raise UserError(f"{change!r} must be FIELD=VALUE, as in n_heads=2")
    try:
        return field, json.loads(text)
    except json.JSONDecodeError:
        return field, text
