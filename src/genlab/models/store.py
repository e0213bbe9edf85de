"""Trained models on disk: weights as safetensors, architecture as JSON; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genlab.config.families import build_family
from genlab.errors import GenLabError
from genlab.io.files import read_json, replacing, sha256, write_json
from genlab.models.base import Facts, Model, Words, build_model
from genlab.results.layout import RunFolder
from genlab.results.origin import KEY, check_origin, run_origin
from genlab.results.spec import RunSpec, read_run

RAW, EMA = "raw.", "ema."
METADATA = "genlab"  # the key of a file's metadata, a JSON object
CHECKSUM, ARCHITECTURE = "sha256", "architecture"  # in it: of the tensors, and of config.json


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` under names that start with `prefix`, laid out as safetensors wants them."""
    return {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write `tensors` as a safetensors file at `path`, all or nothing, and their checksum."""
    # As one entry: safetensors writes several in an order that changes from call to call.
    noted = json.dumps({**metadata, CHECKSUM: _checksum(tensors)}, sort_keys=True)
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, {METADATA: noted})
        except SafetensorError as error:
            raise OSError(28 if "No space" in str(error) else 5, str(error)) from error


def _checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bytes of `tensors`, which are on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of the safetensors file at `path`.

    Raises:
        GenLabError: it is missing, truncated, damaged, or anything but safetensors (a pickle, say).
    """
    try:
        path.open("rb").close()  # safetensors says of any file it can't open that there is none
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            noted = (file.metadata() or {}).get(METADATA, "{}")
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
        metadata: dict[str, str] = json.loads(noted)
    except ValueError:
        metadata = {}
    if metadata.pop(CHECKSUM, None) != _checksum(tensors):
        raise GenLabError(
            f"{path}: damaged, its tensors don't have the checksum that was written with them; "
            "delete it and run again"
        )
    return tensors, metadata


def load_weights(model: Model, tensors: dict[str, Tensor], source: Path) -> None:
    """Copy `tensors` into `model`.

    Raises:
        GenLabError: names or shapes differ, that is, they belong to another architecture.
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


def save_model(
    run: RunFolder, spec: RunSpec, origin: str, model: Model, ema: dict[str, Tensor] | None
) -> None:
    """Write the final weights, raw and (where kept) averaged, and what rebuilds the model.

    Args:
        origin: as `genlab.results.origin.run_origin` gives it, of the spec and the data that the
            model was trained on.
    """
    tensors = prefixed(RAW, model.state_dict())
    if ema is not None:
        tensors |= prefixed(EMA, ema)
    stages: list[Any] = []  # the model itself, its first stage, the first stage of that ...
    stage: RunSpec | None = spec
    while stage is not None:
        stages.append(stage.model.model_dump(mode="json"))
        stage = stage.first_stage
    facts = model.facts._asdict() | {"words": model.facts.words._asdict()}
    write_json(run.architecture, {"stages": stages, "facts": facts})
    metadata = {KEY: origin, ARCHITECTURE: sha256(run.architecture)}
    write_tensors(run.weights, tensors, metadata)


def first_stage_run(run: RunFolder, spec: RunSpec) -> RunFolder:
    """The run that the run `spec` builds on."""
    if spec.first_stage is None:
        raise ValueError(f"{run.folder} builds on no other run")
    return run.study.run(spec.dataset, spec.first_stage.name, spec.first_stage.seed)


def load_first_stage(run: RunFolder, spec: RunSpec) -> Model | None:
    """The trained model that the run `spec` builds on, if it builds on any.

    Raises:
        GenLabError: it was trained for another spec than the one `spec` names, or on other data.
    """
    if spec.first_stage is None:
        return None
    below = first_stage_run(run, spec)
    planned = read_run(below.config).digest
    if planned != spec.first_stage.digest:
        raise GenLabError(
            f"{below.config}: its digest is {planned}, but {run.config} builds on "
            f"{spec.first_stage.digest}: run the workflow again"
        )
    return load_model(below, origin=run_origin(below))


def load_model(
    run: RunFolder, device: torch.device | str = "cpu", origin: str | None = None
) -> Model:
    """The trained model in evaluation mode, with averaged weights where there are any.

    Args:
        origin: what it must have been trained from (`genlab.results.origin.run_origin`); None takes
            it as it is, and `model/` is then all that is needed.

    Raises:
        GenLabError: a file is missing or damaged, or of another origin.
    """
    tensors, metadata = read_tensors(run.weights)
    if origin is not None:
        check_origin(run.weights, metadata.get(KEY), origin)
    architecture = read_json(run.architecture)
    if sha256(run.architecture) != metadata.get(ARCHITECTURE):
        raise GenLabError(
            f"{run.architecture}: not the file that was written with the weights beside it; delete "
            "both and run again"
        )
    try:
        stages = [build_family(values, run.architecture) for values in architecture["stages"]]
        of = architecture["facts"]
        facts = Facts(
            tuple(of["shape"]), int(of["classes"]), Words(**of["words"]), dict(of["factors"])
        )
        model = build_model(stages.pop(), facts, 0)
    except (KeyError, TypeError, ValueError, IndexError):
        raise GenLabError(f"{run.architecture}: not a model's config.json; train again") from None
    while stages:
        model = build_model(stages.pop(), facts, 0, model)
    kept = EMA if any(name.startswith(EMA) for name in tensors) else RAW
    weights = {n.removeprefix(kept): t for n, t in tensors.items() if n.startswith(kept)}
    load_weights(model, weights, run.weights)
    # Channels last suits the kernels of convolutions, on processors as on GPUs.
    return model.to(device).to(memory_format=torch.channels_last).eval()
