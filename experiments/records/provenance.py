"""Provenance: the versions, code and hardware that are recorded with every run."""

import functools
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from experiments.files import ROOT, sha256, write_atomically
from experiments.identity import code_fingerprint


@functools.cache
def packages() -> list[str]:
    """Every installed package as `name==version`, sorted."""
    installed = importlib.metadata.distributions()
    return sorted({f"{package.name}=={package.version}" for package in installed})


@functools.cache
def environment() -> dict[str, Any]:
    """Versions, code and hardware, as columns of the table `runs`."""
    return {
        "code": code_fingerprint(),
        "environment": _name_of(packages()),
        "python_version": platform.python_version(),
        "torch_version": importlib.metadata.version("torch"),
        "numpy_version": importlib.metadata.version("numpy"),
        "git_revision": _git_revision(),
        "hardware": machine(),
    }


def record_environment(results: Path) -> None:
    """Write the versions of all packages to `environments/<hash>.json` of a results folder."""
    write_environment(results, {"packages": packages(), "python": platform.python_version()})


def write_environment(results: Path, content: dict[str, Any]) -> None:
    """Write an environment: its `packages` as `name==version`, and its version of `python`."""
    file = results / "environments" / f"{_name_of(content['packages'])}.json"
    write_atomically(file, json.dumps(content, indent=2).encode())


def _name_of(packages: list[str]) -> str:
    """The name of an environment: a hash of its packages."""
    return sha256("\n".join(packages).encode())[:12]


def machine() -> str:
    """This machine's processor and number of cores."""
    return f"{_processor()}, {usable_cores()} cores"


def usable_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device_name(device: str) -> str:
    """Product name of a torch device: of the graphics card for "cuda", else of the processor."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return _processor()


def processor_flags() -> set[str]:
    """Names of the processor's instruction sets on Linux with x86; empty elsewhere."""
    return set(_cpuinfo("flags").split())


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(name: str) -> str:
    """A value of the first processor in Linux's /proc/cpuinfo; empty where there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _git_revision() -> str:
    """The commit, with "+changes" where tracked files differ from it; empty outside a checkout. An
    installed copy may lie in a checkout of something else.
    """
    if not (ROOT / ".git").exists():
        return ""
    revision = _git("rev-parse", "--short=12", "HEAD")
    changed = revision and _git("status", "--porcelain", "--untracked-files=no")
    return revision + "+changes" if changed else revision


def _git(*arguments: str) -> str:
    """The output of a git command, or an empty string where git is missing or fails."""
    if shutil.which("git") is None:
        return ""
    result = subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else ""
