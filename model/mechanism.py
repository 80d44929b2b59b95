"""Where a field of the config finds what it names."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from model.config import ModelConfig

Build = Callable[[ModelConfig], nn.Module]


def mechanism(name: str, ours: Mapping[str, Build]) -> Any:
    """One of ours, or, for "package.module:function", what that function makes of a config.

    Raises:
        ImportError, AttributeError: there is no such module, or no such function in it.
    """
    if name in ours:
        return ours[name]
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
