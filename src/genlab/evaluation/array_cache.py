"""Results that are remembered for as long as the array they were computed from exists.

One process measures many rows against the same real images; what depends on those alone is
computed once.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")


def cached_per_array(
    function: Callable[Concatenate[NDArray[Any], P], R],
) -> Callable[Concatenate[NDArray[Any], P], R]:
    """Compute `function(array, ...)` once for each array object and each value of the rest.

    An array is recognised by its identity: it must not be changed in place afterwards.
    """
    results: dict[int, dict[Hashable, R]] = {}

    @functools.wraps(function)
    def cached(array: NDArray[Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if id(array) not in results:
            results[id(array)] = {}
            weakref.finalize(array, results.pop, id(array), None)
        of_array = results[id(array)]
        key = (args, tuple(sorted(kwargs.items())))
        if key not in of_array:
            of_array[key] = function(np.asarray(array), *args, **kwargs)
        return of_array[key]

    return cached
