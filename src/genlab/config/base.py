"""The base class of every typed configuration, and how YAML becomes one."""

from __future__ import annotations

import hashlib
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from yaml.constructor import ConstructorError

from genlab.errors import ConfigError, explain, nearest, shown

T = TypeVar("T", bound=BaseModel)
K = TypeVar("K")

DEFAULT_BACKBONE = "unet"  # of a network without the key `backbone`
LENGTHS = ("images", "seconds")
"""Keys of a training, each of which sets its length."""

Precision = Literal["fp32", "bf16", "auto"]
"""Number format of the layers. 'auto' is bf16 on processors with instructions for it, and fp32 on
others, where bf16 would be many times slower; the run's summary and cost record the choice."""

LARGEST = 2**32 - 1
"""Largest number that any key accepts."""
Width = Annotated[int, Field(ge=1, le=2**14)]
"""Number of channels, features or dimensions; a square matrix of the largest width takes 1 GiB."""
Depth = Annotated[int, Field(ge=1, le=256)]
"""Number of layers or blocks in a row, or a multiple of channels."""
Halvings = Annotated[int, Field(ge=1, le=10)]
"""Number of times that the side of an image is halved; ten turn the largest side, 1024, into 1."""
Images = Annotated[int, Field(ge=1, le=10**6)]
"""Number of images in one array; a million RGB images of 32 x 32 pixels take 3 GB."""
Steps = Annotated[int, Field(ge=1, le=10_000)]
"""Number of steps from noise to image, each with one or two network evaluations."""
LARGEST_SIDE = 1024
"""Largest side of an image in pixels; ten thousand RGB images of this size take 30 GB."""


def _types(annotation: Any) -> set[Any]:
    """Return the types in an annotation, such as {int, NoneType} for `tuple[int, ...] | None`."""
    arguments = typing.get_args(annotation)
    if not arguments or typing.get_origin(annotation) is Literal:
        return {annotation}
    return {kind for argument in arguments for kind in _types(argument)}


class Strict(BaseModel):
    """A configuration that refuses unknown keys and implausible values."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_min_length=1)

    renamed_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, and what they are called now."""
    removed_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions that are gone, and what to do instead."""

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, values: Any) -> Any:
        keys = values if isinstance(values, dict) else ()
        unknown = [
            f"unknown key {shown(key)}: {cls._remedy(key)}"
            for key in keys
            if key not in cls.model_fields
        ]
        if unknown:
            raise ValueError("; ".join(unknown))
        return values

    @classmethod
    def _remedy(cls, key: Any) -> str:
        """What to write instead of an unknown key."""
        if key in cls.renamed_keys:
            return f"it is called '{cls.renamed_keys[key]}' now"
        return cls.removed_keys.get(key) or nearest(str(key), cls.model_fields)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is expected; pydantic would read 1 and 0."""
        types = _types(cls.model_fields[str(info.field_name)].annotation)
        if types & {int, float} and bool not in types:
            for item in value if isinstance(value, list | tuple) else [value]:
                if isinstance(item, bool):
                    raise ValueError(f"expected a number, got {shown(item)}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _no_number_is_absurd(cls, value: Any) -> Any:
        """Bound all numbers, also those whose type has no bound."""
        for item in value if isinstance(value, tuple) else [value]:
            if isinstance(item, int | float) and abs(item) > LARGEST:
                raise ValueError(f"must lie between -{LARGEST} and {LARGEST}, got {shown(item)}")
        return value

    @property
    def digest(self) -> str:
        """Short hash of the whole configuration, including defaults."""
        return short_hash(dump_yaml(self))


def short_hash(*parts: str) -> str:
    """Return 16 hexadecimal digits that depend on all `parts` and their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


TAG = "tag:yaml.org,2002:"
CORE: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", "~nN", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "int": (
        r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
        "-+0123456789",
        lambda text: int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)),
    ),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        lambda text: float(re.sub(r"\.(?=[iInN])", "", text)),
    ),
}
"""Scalars of YAML 1.2's core schema: pattern, possible first characters, and conversion. All other
scalars are text, including `off` and `no`, which YAML 1.1 reads as false."""
DEEPEST = 50
"""Largest number of levels of nesting in a file; the shipped files have five."""
UNPRINTABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class _Reader(yaml.BaseLoader):
    """A YAML reader with the core schema.

    Raises:
        yaml.MarkedYAMLError: a syntax error, a duplicate key, a value that doesn't fit its tag, an
            unknown tag, unprintable text, or too many levels of nesting.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise ConstructorError(None, None, f"more than {DEEPEST} levels of nesting", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def text(self, node: yaml.Node) -> str:
        value = self.construct_scalar(node)  # type: ignore[arg-type]
        if UNPRINTABLE.search(value):
            raise ConstructorError(None, None, "unprintable characters", node.start_mark)
        return value

    def scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix(TAG)
        pattern, _, convert = CORE[kind]
        value = self.text(node)
        if not re.fullmatch(pattern, value):
            raise ConstructorError(
                None, None, f"{shown(value)} is not of type {kind}", node.start_mark
            )
        try:
            return convert(value)
        except ValueError:  # Python converts no integer of more than 4,300 digits
            problem = f"a number of {len(value)} digits"
            raise ConstructorError(None, None, problem, node.start_mark) from None

    def sequence(self, node: yaml.Node) -> list[Any]:
        return self.construct_sequence(node, deep=True)  # type: ignore[arg-type]

    def mapping(self, node: yaml.Node) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise ConstructorError(None, None, "expected 'key: value'", node.start_mark)
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key, mark = self.construct_object(key_node, deep=True), key_node.start_mark
            if isinstance(key, list | dict):
                raise ConstructorError(None, None, "a key must be text or a number", mark)
            if key in result:
                raise ConstructorError(None, None, f"duplicate key {shown(key)}", mark)
            result[key] = self.construct_object(value_node, deep=True)
        return result

    def unknown(self, node: yaml.Node) -> None:
        tag = node.tag.replace(TAG, "!!")
        raise ConstructorError(None, None, f"unknown tag {shown(tag)}", node.start_mark)


class _Writer(yaml.CSafeDumper):
    """A YAML writer that quotes text which YAML 1.1 or 1.2 would read as another type."""


_Reader.add_constructor(f"{TAG}str", _Reader.text)
_Reader.add_constructor(f"{TAG}seq", _Reader.sequence)
_Reader.add_constructor(f"{TAG}map", _Reader.mapping)
_Reader.add_constructor(None, _Reader.unknown)
for _kind, (_pattern, _first, _) in CORE.items():
    _Reader.add_constructor(TAG + _kind, _Reader.scalar)
    for _handler in (_Reader, _Writer):
        _beginnings = [*_first, ""] if _kind == "null" else [*_first]
        _handler.add_implicit_resolver(TAG + _kind, re.compile(f"(?:{_pattern})$"), _beginnings)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in the YAML file at `path`; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing, unreadable, not YAML, or not a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Reader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: not valid YAML: line {line}: not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = ": ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{path}: not valid YAML: {where}{problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path}: not valid YAML: unprintable characters") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, got {shown(content)}")
    return content


def pick(kinds: Mapping[str, K], key: str, values: dict[str, Any], source: str | Path) -> K:
    """Return the one of `kinds` that `values[key]` names.

    Raises:
        ConfigError: the key is missing, or its value is not one of the names.
    """
    name = values.get(key)
    if isinstance(name, str) and name in kinds:
        return kinds[name]
    if name is None:
        problem = "missing;"
    elif isinstance(name, str):
        problem = f"unknown {key} {shown(name)}:"
    else:
        problem = f"expected a name, got {shown(name)};"
    raise ConfigError(
        f"{source}: {key}: {problem} {nearest(name if isinstance(name, str) else '', kinds)}"
    )


def build(kind: type[T], values: Any, source: str | Path) -> T:
    """Validate `values` as a `kind`; every line of the error begins with `source`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explain(error, str(source)) from None
    except ConfigError as error:  # from a nested `build`, which names only its own part
        raise ConfigError(f"{source}: {error}") from None


def lengths(values: Mapping[str, Any]) -> list[str]:
    """Return the keys by which a training's `values` set its length."""
    return [key for key in LENGTHS if values.get(key) is not None]


def _below(value: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return what still applies of `base` when `value` is merged into it."""
    backbone = base.get("backbone", DEFAULT_BACKBONE)
    if value.get("backbone", backbone) != backbone:
        return {}
    if lengths(value):
        return {key: old for key, old in base.items() if key not in LENGTHS}
    return base


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively; values of later layers replace those of earlier ones.

    A network with another `backbone` replaces the earlier network as a whole, since the sizes of
    one backbone do not apply to another. The length of a training, `images` or `seconds`, replaces
    an earlier one, whichever of the two that is.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            base = merged.get(key)
            if isinstance(value, dict) and isinstance(base, dict):
                merged[key] = merge(_below(value, base), value)
            else:
                merged[key] = value
    return merged


def dump_yaml(config: BaseModel) -> str:
    """Return `config` as YAML text, with the keys in the order of their declaration."""
    text: str = yaml.dump(
        config.model_dump(mode="json"), Dumper=_Writer, sort_keys=False, allow_unicode=True
    )
    return text
