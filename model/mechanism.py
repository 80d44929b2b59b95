"""Looks up the mechanism that a config field names."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from model.config import ModelConfig

Build = Callable[[ModelConfig], nn.Module]


def mechanism(name: str, built_in: Mapping[str, Callable[..., Any]]) -> Any:
    """The function or class that a config field names.

    name: a key of `built_in`, or "package.module:function".

    Raises:
        ImportError, AttributeError: the module, or the function in it, does not exist.
    """
    if name in built_in:
        return built_in[name]
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
