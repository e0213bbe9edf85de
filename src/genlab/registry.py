"""Packages as registries: a class is plugged in by the file that defines it, nothing else."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import TypeVar

from genlab.errors import GenLabError

T = TypeVar("T")


def modules_in(package: str) -> list[str]:
    """Full names of the modules of `package`, sorted; neither it nor any of them is imported."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(folders or []))


def class_in(module: str, kind: type[T]) -> type[T]:
    """The subclass of `kind` that `module` defines.

    Raises:
        GenLabError: it defines none.
    """
    loaded = importlib.import_module(module)
    for value in vars(loaded).values():
        if (
            isinstance(value, type)
            and issubclass(value, kind)
            and value.__module__ == module  # not one that it imports
        ):
            return value
    raise GenLabError(f"{loaded.__file__}: defines no subclass of {kind.__name__}")


def classes_in(package: str, kind: type[T]) -> list[type[T]]:
    """The subclass of `kind` of every module of `package`, in the order of the modules' names."""
    return [class_in(module, kind) for module in modules_in(package)]
