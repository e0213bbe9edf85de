"""The one base of every typed configuration, and how YAML becomes one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from genlab.config.errors import ConfigError, explain, nearest

T = TypeVar("T", bound=BaseModel)

DEFAULT_BACKBONE = "unet"  # of a network that names none

Precision = Literal["fp32", "bf16", "auto"]
"""What layers are computed in. 'auto' is bf16 where the processor has instructions for it and fp32
elsewhere, where it would be many times slower; summaries and costs say which it was."""


class Strict(BaseModel):
    """A configuration that refuses keys it doesn't know, and names the nearest one it does."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key '{key}': {nearest(str(key), cls.model_fields)}")
        return values

    @property
    def digest(self) -> str:
        """A short hash of the whole configuration, defaults included."""
        return short_hash(dump_yaml(self))


def short_hash(*parts: str) -> str:
    """16 hexadecimal digits that depend on all `parts` and their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at `path`; an empty file is an empty mapping.

    Raises:
        ConfigError: the file is missing, unreadable, not YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(content).__name__}")
    return content


def build(kind: type[T], values: Any, source: str | Path) -> T:
    """Validate `values` as a `kind`; mistakes are reported as lines that start with `source`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise explain(error, str(source)) from None
    except ConfigError as error:  # a part that was built within names only itself
        raise ConfigError(f"{source}: {error}") from None


def _alike(below: dict[str, Any], value: dict[str, Any]) -> bool:
    """Whether `value` changes what is described `below`, and doesn't put another network there."""
    backbone = below.get("backbone", DEFAULT_BACKBONE)
    return bool(value.get("backbone", backbone) == backbone)


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Join mappings key by key, nested ones as well; later layers win.

    A network of another `backbone` starts anew: sizes of the one before say nothing of it.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, dict) and isinstance(below, dict) and _alike(below, value):
                merged[key] = merge(below, value)
            else:
                merged[key] = value
    return merged


def dump_yaml(config: BaseModel) -> str:
    """`config` as YAML text, keys in the order of their declaration."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text
