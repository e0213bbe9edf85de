"""Trained models as files: weights and architecture in one safetensors file, never unpickled.

A file holds the raw weights and, where the training averaged them, the averaged ones. Its metadata
say what rebuilds the model: the configurations of the family and of all it builds on, and the facts
of the data set that it was trained on.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genlab.config.families import FamilyConfig, build_family
from genlab.errors import GenLabError
from genlab.io.files import replacing
from genlab.models.base import Facts, Model, Words, build_model

RAW, EMA = "raw.", "ema."
METADATA = "genlab"  # the key of a file's metadata, a JSON object
CHECKSUM, ARCHITECTURE = "sha256", "architecture"  # its keys: of the tensors, of the model

Metadata = dict[str, str]


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `tensors` under names that start with `prefix`, laid out for safetensors."""
    return {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return those of `tensors` whose names start with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: Metadata) -> None:
    """Write `tensors` and their checksum as a safetensors file at `path`, all or nothing."""
    # As one entry: safetensors writes several in an order that changes from call to call.
    content = json.dumps({**metadata, CHECKSUM: checksum(tensors)}, sort_keys=True)
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, {METADATA: content})
        except SafetensorError as error:
            raise OSError(28 if "No space" in str(error) else 5, str(error)) from error


def checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bytes of `tensors`."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).cpu().numpy().data)
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Metadata]:
    """Read the tensors and the metadata of the safetensors file at `path`.

    Raises:
        GenLabError: it is missing, truncated, damaged, or not safetensors (a pickle, say).
    """
    try:
        path.open("rb").close()  # safetensors reports any file that it can't open as missing
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            content = (file.metadata() or {}).get(METADATA, "{}")
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run `genlab train` first") from None
    except PermissionError:
        raise GenLabError(f"{path}: no permission to read it") from None
    except (SafetensorError, OSError) as error:
        raise GenLabError(
            f"{path}: not a complete safetensors file ({error}); it is neither loaded nor "
            "unpickled. Delete it and train again"
        ) from None
    try:
        metadata: Metadata = json.loads(content)
    except ValueError:
        metadata = {}
    if metadata.pop(CHECKSUM, None) != checksum(tensors):
        raise GenLabError(
            f"{path}: damaged, its tensors don't have the checksum that was written with them; "
            "delete it and run again"
        )
    return tensors, metadata


def load_weights(model: Model, tensors: dict[str, Tensor], source: str | Path) -> None:
    """Copy `tensors` into `model`.

    Raises:
        GenLabError: names or shapes differ, so they belong to another architecture.
    """
    own = model.state_dict()
    wrong = [name for name in own if name not in tensors]
    wrong += [name for name in tensors if name not in own]
    wrong += [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    if wrong:
        raise GenLabError(
            f"{source}: weights of another architecture: '{wrong[0]}' and {len(wrong) - 1} more "
            f"tensors don't fit a {type(model).__name__} of this configuration; train again"
        )
    model.load_state_dict(tensors)


def _architecture(model: Model) -> str:
    """What rebuilds `model`, as JSON: its configuration and those of all it builds on."""
    stages: list[dict[str, Any]] = []
    stage: Model | None = model
    while stage is not None:
        stages.append(stage.config.model_dump(mode="json"))
        stage = stage.first_stage
    facts = model.facts._asdict() | {"words": model.facts.words._asdict()}
    return json.dumps({"stages": stages, "facts": facts})


def _rebuild(architecture: str | None, source: str | Path) -> Model:
    """Return the model that `_architecture` described, with new weights."""
    try:
        content = json.loads(architecture or "")
        configs: list[FamilyConfig] = [build_family(v, source) for v in content["stages"]]
        values = content["facts"]
        facts = Facts(
            tuple(values["shape"]),
            int(values["classes"]),
            Words(**values["words"]),
            dict(values["factors"]),
        )
        model = build_model(configs.pop(), facts, 0)
        while configs:
            model = build_model(configs.pop(), facts, 0, model)
    except (KeyError, TypeError, ValueError, IndexError):
        raise GenLabError(f"{source}: doesn't say which model it holds; train again") from None
    return model


def save_model(
    path: Path,
    model: Model,
    ema: dict[str, Tensor] | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Write a model as one safetensors file.

    Args:
        ema: the averaged weights, where they were kept beside those of `model`.
        metadata: more entries of the file's metadata.
    """
    tensors = prefixed(RAW, model.state_dict())
    if ema is not None:
        tensors |= prefixed(EMA, ema)
    write_tensors(path, tensors, {ARCHITECTURE: _architecture(model), **(metadata or {})})


def build_trained(
    tensors: dict[str, Tensor],
    metadata: Metadata,
    source: Path,
    device: torch.device | str = "cpu",
) -> Model:
    """Return the model of a file that `read_tensors` read, as `load_model`."""
    model = _rebuild(metadata.get(ARCHITECTURE), source)
    weights = without_prefix(EMA, tensors) or without_prefix(RAW, tensors)
    load_weights(model, weights, source)
    return for_inference(model, device)


def for_inference(model: Model, device: torch.device | str) -> Model:
    """Move `model` to `device` in evaluation mode, laid out for its kernels."""
    # Channels last suits the kernels of convolutions, on processors as on GPUs.
    return model.to(device).to(memory_format=torch.channels_last).eval()


def load_model(path: Path, device: torch.device | str = "cpu") -> Model:
    """Load a model in evaluation mode, with averaged weights where the file holds any.

    Raises:
        GenLabError: the file is missing, damaged, or holds no model of GenLab.
    """
    tensors, metadata = read_tensors(path)
    return build_trained(tensors, metadata, path, device)
