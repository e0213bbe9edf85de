"""No key accepts true for a number, a number beyond all sense, or an empty text."""

from __future__ import annotations

import importlib
import pkgutil
import types
import typing
from typing import Annotated, Any, Literal

import pytest
from pydantic import ValidationError

import genlab.config
from genlab.config.base import LARGEST, LARGEST_SIDE, Strict
from genlab.config.families import FamilyConfig
from genlab.config.networks import DiTConfig, UNetConfig
from genlab.config.sources import source_class

for module in pkgutil.walk_packages(genlab.config.__path__, "genlab.config."):
    importlib.import_module(module.name)


def subclasses(kind: type[Strict]) -> list[type[Strict]]:
    """`kind` and all classes below it that are GenLab's."""
    below = [one for sub in kind.__subclasses__() for one in subclasses(sub)]
    return [kind, *below] if kind.__module__.startswith("genlab.") else below


def types_of(annotation: Any) -> set[Any]:
    """The plain types of an annotation; of `tuple[int, ...] | None`, {tuple, int, None}."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Literal, dict):
        return set()
    if origin is Annotated:
        return types_of(arguments[0])
    if origin in (tuple, types.UnionType, typing.Union):
        plain = {tuple} if origin is tuple else set()
        return plain.union(*map(types_of, arguments))
    return {annotation}


FIELDS = [
    (kind, name, types_of(field.annotation))
    for kind in dict.fromkeys(subclasses(Strict))
    for name, field in kind.model_fields.items()
]
NUMBERS = [one for one in FIELDS if one[2] & {int, float}]
TEXTS = [one for one in FIELDS if str in one[2]]


def ids(fields: list[tuple[type[Strict], str, set[Any]]]) -> list[str]:
    return [f"{kind.__name__}.{name}" for kind, name, _ in fields]


def complaints(kind: type[Strict], name: str, value: Any) -> list[str]:
    """What is said against `value` as the field `name` of `kind`."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({name: value})
    return [error["msg"] for error in caught.value.errors() if error["loc"][:1] == (name,)]


def test_the_fields_are_there() -> None:
    """Of all kinds of classes: what a test looks for must not vanish unseen."""
    assert {"TrainingConfig", "UNetConfig", "CelebAConfig", "PPCAConfig", "GlowConfig"} <= {
        kind.__name__ for kind, _, _ in NUMBERS
    }
    assert len(NUMBERS) > 150
    nested = {"UNetConfig.attention", "TokenSampler.top_p", "Study.seeds", "PromptsConfig.guidance"}
    assert nested <= set(ids(NUMBERS))
    assert {"ImageFolderConfig.path", "TrackingConfig.experiment"} <= set(ids(TEXTS))


@pytest.mark.parametrize(("kind", "name", "kinds"), NUMBERS, ids=ids(NUMBERS))
def test_a_number_is_neither_true_nor_absurd(
    kind: type[Strict], name: str, kinds: set[Any]
) -> None:
    for value in (True, 10**30, 1e30, "1e30", 1e308, -1e308, -LARGEST - 1):
        given = [value] if tuple in kinds else value
        assert complaints(kind, name, given), (name, value)


SIZES = [
    one
    for one in NUMBERS
    if issubclass(one[0], FamilyConfig | UNetConfig | DiTConfig)
    and int in one[2]
    and one[1] != "timesteps"
]


@pytest.mark.parametrize(("kind", "name", "kinds"), SIZES, ids=ids(SIZES))
def test_a_size_of_a_network_is_bounded(kind: type[Strict], name: str, kinds: set[Any]) -> None:
    assert complaints(kind, name, [100_000] if tuple in kinds else 100_000)


@pytest.mark.parametrize(("kind", "name", "kinds"), TEXTS, ids=ids(TEXTS))
def test_a_text_is_not_empty(kind: type[Strict], name: str, kinds: set[Any]) -> None:
    if name == "description":
        assert kind.model_fields[name].default == ""
    else:
        assert complaints(kind, name, [""] if tuple in kinds else "")


@pytest.mark.parametrize("source", ["celeba", "image_folder", "sprites"])
def test_the_side_of_an_image_is_bounded(source: str) -> None:
    kind = source_class(source)
    values = {"source": source, **({"path": "x"} if source == "image_folder" else {})}
    with pytest.raises(ValidationError, match="size"):
        kind.model_validate({**values, "size": 100_000})
    if source != "sprites":  # smaller still
        assert kind.model_validate({**values, "size": LARGEST_SIDE}).shape[1] == LARGEST_SIDE


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("1e3", 1000), ("0", 0)])
def test_numbers_of_the_command_line_are_text_and_are_read(text: str, number: int) -> None:
    """`--config` passes all values inside brackets on as text."""
    from genlab.config.study import StudyFile, TrainingConfig

    values = {"name": "x", "datasets": ["d"], "models": ["m"], "samplers": {"p": {}}}
    if text != "1e3":
        assert StudyFile.model_validate({**values, "seeds": [text]}).seeds == (number,)
    assert TrainingConfig.model_validate({"weight_decay": text}).weight_decay == number
    assert TrainingConfig.model_validate({"compile": "true"}).compile is True
