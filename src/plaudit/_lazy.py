"""Names without their price: packages re-export lazily, tables name what they use, so that listing imports nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attribute(path: str) -> Any:
    """What `module:name` says, imported when it is asked for."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def exports(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """The `__getattr__` and `__all__` of a package.

    Args:
        package: the package's `__name__`.
        where: public name to the submodule (relative to the package) that defines it.

    Returns:
        A module-level `__getattr__`, and the sorted public names.
    """
    for name, module in where.items():
        if module.rpartition(".")[2] == name:
            # importing a submodule binds its name in the package, so the function behind it would be hidden
            raise ImportError(f"{package}: {name} is exported from a module of the same name; rename the module")

    def getattr_(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{where[name]}"), name)

    return getattr_, sorted(where)
