"""Says whether an answer is right, and if not, what is wrong with it, in plain words."""

from __future__ import annotations

import inspect
import math
import traceback
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from genlab.course.exercises import Answer, Case, Exercise

Outcome = Literal["right", "wrong", "unfinished", "missing", "error", "timeout"]
SEEDS = (0, 1)
"""Seeds of the cases that an answer is tried on."""
ROUNDING = 1e-4
"""Imaginary parts up to this share of the real ones are dropped."""
FEW = 4
"""Numbers of an array that a message shows."""


@dataclass(frozen=True)
class Verdict:
    """What is to be said about an answer."""

    outcome: Outcome
    message: str


class Unusable(Exception):
    """A value that cannot be compared with numbers; the message says why."""


def judge(
    exercise: Exercise, module: types.ModuleType, file: Path, seeds: Sequence[int] = SEEDS
) -> Verdict:
    """Try the function of `exercise` that a student's `module` defines in `file`."""
    answer = getattr(module, exercise.name, None)
    if not callable(answer):
        message = (
            f"{file.name} defines no function `{exercise.name}`; "
            f"`genlab check {exercise.number} --template` prints a file to start from"
        )
        return Verdict("missing", message)
    cases = [case for seed in seeds for case in exercise.cases(seed)]
    if problem := wrong_arguments(exercise, answer, cases[0]):
        return Verdict("wrong", problem)
    results = []
    for seed in seeds:
        for case in exercise.cases(seed):  # anew, since an answer may change its arguments
            torch.manual_seed(0)
            try:
                results.append(exercise.result(answer, *case))
            except (Exception, SystemExit) as error:
                # PyTorch raises the same class: "cholesky" not implemented for 'Half'.
                if isinstance(error, NotImplementedError) and "implemented for" not in str(error):
                    return Verdict("unfinished", "not finished yet: it raises NotImplementedError")
                return Verdict("error", where(error, file))
    return compare(exercise, results, seeds)


def compare(exercise: Exercise, results: Sequence[Any], seeds: Sequence[int]) -> Verdict:
    """Compare the `results` of an answer for all cases with the oracle, then with mistakes."""
    if all(result is None for result in results):
        return Verdict("unfinished", "it returns nothing: write its body, with a `return`")
    cases = [case for seed in seeds for case in exercise.cases(seed)]
    truths = [exercise.oracle(*case) for case in cases]
    problem = ""
    for case, result, truth in zip(cases, results, truths, strict=True):
        try:
            observed, expected = parts(result, truth), parts(truth, truth)
        except Unusable as error:
            return Verdict("wrong", str(error))
        problem = problem or difference(exercise, case, observed, expected)
    if not problem:
        return Verdict("right", f"right, in all {len(cases)} cases")
    if hint := recognised(exercise, results, truths, seeds):
        return Verdict("wrong", hint)
    return Verdict("wrong", constant_factor(results, truths, exercise.tolerance) or problem)


def recognised(
    exercise: Exercise, results: Sequence[Any], truths: Sequence[Any], seeds: Sequence[int]
) -> str:
    """The hint of the typical mistake that yields these results; empty if there is none."""
    for mistake in exercise.mistakes:
        cases = (case for seed in seeds for case in exercise.cases(seed))
        if all(
            same(
                parts(result, truth),
                parts(exercise.result(mistake.answer, *case), truth),
                exercise.tolerance,
            )
            for case, result, truth in zip(cases, results, truths, strict=True)
        ):
            return mistake.hint
    return ""


def parts(value: Any, like: Any) -> tuple[Tensor, ...]:
    """Arrays of `value`, float64: several if `like` is a tuple, else one.

    Raises:
        Unusable: it holds something else than numbers.
    """
    if isinstance(like, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(like):
            raise Unusable(f"it must return {len(like)} values, but returns {kind(value)}")
        return tuple(part for item in value for part in parts(item, None))
    if isinstance(value, tuple | list) and any(isinstance(item, Tensor) for item in value):
        raise Unusable(f"it must return one array or number, but returns {kind(value)}")
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Unusable(f"it must return numbers, but returns {kind(value)}") from error
    if tensor.is_complex():  # as SciPy's root of a matrix is, with imaginary parts of rounding
        if (tensor.imag.abs() > ROUNDING * size(tensor.real)).any():
            raise Unusable("it returns complex numbers; the right values are real")
        tensor = tensor.real
    return (tensor.detach().double(),)


def kind(value: Any) -> str:
    """What `value` is, in words."""
    if value is None:
        return "nothing for some arguments (a `return` is missing)"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a value of type {type(value).__name__}"


def same(a: Sequence[Tensor], b: Sequence[Tensor], tolerance: float) -> bool:
    """Whether two results agree, NaN and infinity included."""
    return len(a) == len(b) and all(
        x.shape == y.shape
        and torch.allclose(x, y, rtol=tolerance, atol=tolerance * size(y), equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def size(values: Tensor) -> float:
    """The largest finite absolute value; 0 if there is none."""
    finite = values[values.isfinite()].abs()
    return float(finite.max()) if finite.numel() else 0.0


def difference(
    exercise: Exercise, case: Case, observed: Sequence[Tensor], expected: Sequence[Tensor]
) -> str:
    """What is wrong with the values of one case; empty if nothing is."""
    for i, (x, y) in enumerate(zip(observed, expected, strict=True)):
        which = f"value {i + 1} of {len(expected)}: " if len(expected) > 1 else ""
        if x.shape != y.shape:
            return f"{which}the shape is {list(x.shape)}, but should be {list(y.shape)}"
        if same([x], [y], exercise.tolerance):
            continue
        if not x.isfinite().all():
            return f"{which}there are infinite values or NaN{called(exercise, case)}"
        wrong = ~torch.isclose(
            x, y, rtol=exercise.tolerance, atol=exercise.tolerance * size(y)
        ).flatten()
        first = int(wrong.nonzero()[0])
        place = f"number {first + 1} of {y.numel()} " if y.numel() > 1 else "it "
        value, right = float(x.flatten()[first]), float(y.flatten()[first])
        message = f"is {value:.6g}, but should be {right:.6g}"
        return f"{which}{place}{message}{called(exercise, case)}"
    return ""


def called(exercise: Exercise, case: Case) -> str:
    """The arguments of a call, as far as they are short."""
    names = list(inspect.signature(exercise.solution).parameters)
    shown = []
    for name, value in zip(names, case, strict=True):
        if isinstance(value, Tensor):
            text = (
                str([round(float(number), 4) for number in value.flatten()])
                if value.numel() <= FEW
                else f"<shape {list(value.shape)}>"
            )
        else:
            text = "<function>" if callable(value) else repr(value)
        shown.append(f"{name}={text}")
    return f", for {exercise.name}({', '.join(shown)})"


def constant_factor(results: Sequence[Any], truths: Sequence[Any], tolerance: float) -> str:
    """Whether all values are the right ones times one factor; empty if they are not."""
    observed: list[Tensor] = []
    expected: list[Tensor] = []
    for result, truth in zip(results, truths, strict=True):
        pairs = zip(parts(result, truth), parts(truth, truth), strict=True)
        for x, y in pairs:
            if x.shape != y.shape:
                return ""
            observed.append(x.flatten())
            expected.append(y.flatten())
    x, y = torch.cat(observed), torch.cat(expected)
    factor = float((x * y).sum() / (y * y).sum())
    if not math.isfinite(factor) or factor == 0 or not same([x], [factor * y], tolerance):
        return ""
    if abs(factor + 1) < tolerance:
        return "every value has the wrong sign"
    return f"every value is {factor:.4g} times the right one: a constant factor is wrong"


def wrong_arguments(exercise: Exercise, answer: Answer, case: Case) -> str:
    """What is wrong with the arguments that an answer takes; empty if nothing is."""
    try:
        inspect.signature(answer).bind(*case)
    except TypeError:
        return f"it takes other arguments than {exercise.signature}"
    except ValueError:  # a built-in without a signature
        return ""
    return ""


def where(error: BaseException, file: Path) -> str:
    """The message of an error with the line of the student's `file` that raised it."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        text = (error.text or "").strip()
        return f"{file.name}, line {error.lineno}: {text}\n  {error.msg}"
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(file)]
    if not own:
        return message
    return f"{file.name}, line {own[-1].lineno}: {own[-1].line}\n  {message}"
