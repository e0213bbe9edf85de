"""A package as a registry: every module in it, found by its file name, holds one class."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

from genlab.errors import GenLabError

C = TypeVar("C")


def module_names(package: str) -> list[str]:
    """Return the names of the modules in `package`, in alphabetical order; none is imported."""
    path = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(path))


def registered_class(package: str, name: str, base: type[C]) -> type[C]:
    """Import the module `name` of `package` and return its subclass of `base`.

    Raises:
        GenLabError: the module defines no subclass of `base`.
    """
    module = importlib.import_module(f"{package}.{name}")
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == module.__name__  # not a class that it imports
        ):
            return value
    raise GenLabError(f"{module.__file__}: defines no subclass of {base.__name__}")
