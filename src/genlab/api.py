"""The library without a workflow: train, sample, measure, save and load models on arrays.

A study's stages call the same code with the same defaults, so the same data, budget and seed give
the same weights and samples here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from genlab.config.base import build, short_hash
from genlab.config.evaluators import extractor as find_extractor
from genlab.config.families import ALIGNED_10, FamilyConfig
from genlab.config.picture_files import list_pictures
from genlab.config.samplers import SamplerConfig
from genlab.config.sources import DatasetConfig, build_source
from genlab.config.study import (
    EvaluationConfig,
    TrainingConfig,
    load_dataset,
    load_model,
    load_sampler,
)
from genlab.config.study.presets import resolve, yaml_names
from genlab.data import pictures
from genlab.data.randomness import address
from genlab.data.reading import fetch_files, read_source
from genlab.errors import ConfigError, GenLabError, nearest, shown
from genlab.evaluation.extractors import features_of, make_extractor
from genlab.evaluation.metrics import Comparison, measure
from genlab.io.history import Row
from genlab.models import store
from genlab.models.base import Facts, Model, build_model
from genlab.models.batches import Table, to_uint8
from genlab.models.devices import pick_device
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw
from genlab.training.budget import with_images
from genlab.training.log import Log
from genlab.training.resume import Checkpoint
from genlab.training.trainer import Training, make_accelerator, training_precision

PRESETS = Path(__file__).parent / "presets"
"""The project's `config/`: data sets and models by name."""
CACHE = Path("~/.cache/genlab").expanduser()
"""Where the data sets are kept that are downloaded."""


@dataclass(frozen=True)
class ImageData:
    """Images to train on, and others to measure on.

    Attributes:
        images, held_out: uint8 [N, C, H, W] and [M, C, H, W]; M may be 0.
        labels, held_out_labels: int64 [N] and [M], classes from 0.
        classes: their names.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    held_out: NDArray[np.uint8]
    held_out_labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the images and labels to train on."""
        content = hashlib.sha256(self.images.tobytes())
        content.update(self.labels.tobytes())
        return content.hexdigest()


Images = ImageData | NDArray[np.uint8] | Tensor | str | Path
"""Images as the functions below take them: what `load_data` returns, uint8 [N, C, H, W], the name
of a data set, or a folder or zip file of pictures."""


def load_data(source: str | Path, **settings: Any) -> ImageData:
    """Read a data set.

    Args:
        source: a name of `config/datasets` ("digits", "mnist", ...), or a folder or zip file of
            pictures, in folders by class or without.
        settings: keys of the data set's configuration to change, such as `size=32`. Own pictures
            keep the size and the channels of the first one where these are not given.

    Raises:
        GenLabError: there is no such data set, or it can't be read.
    """
    name = str(source)
    if name in yaml_names(PRESETS / "datasets"):
        config = load_dataset(name, PRESETS, "genlab.load_data")
        if settings:
            config = build_source(config.model_dump(mode="json") | settings, name)
            config.check()
    elif Path(source).exists():
        config = _own_pictures(Path(source), settings)
    else:
        names = yaml_names(PRESETS / "datasets")
        raise GenLabError(f"'{name}': no file or folder, and no data set: {nearest(name, names)}")
    splits = read_source(config, fetch_files(config, CACHE / name))
    return ImageData(
        splits.train.images,
        splits.train.labels,
        splits.test.images,
        splits.test.labels,
        tuple(splits.classes),
    )


def _own_pictures(path: Path, settings: dict[str, Any]) -> DatasetConfig:
    """The configuration of a folder or zip file of pictures."""
    values = {"source": "image_folder", "path": str(path), **settings}
    if path.is_dir() and "size" not in settings:
        names = list_pictures(path).pictures
        if names:
            with Image.open(path / names[0]) as picture:
                channels = 1 if picture.mode in ("1", "L", "LA", "I;16") else 3
                values = {"size": picture.width, "channels": channels, **values}
    config = build_source(values, path)
    config.check()
    return config


def as_data(images: Images, labels: ArrayLike | None = None) -> ImageData:
    """Return images as `ImageData`; of arrays none are held out.

    Args:
        labels: int [N], classes from 0; without them all images belong to one class.

    Raises:
        GenLabError: an array of another type or shape.
    """
    if isinstance(images, str | Path):
        images = load_data(images)
    if isinstance(images, ImageData):
        if labels is not None:
            raise GenLabError("labels: the data set has its own; pass its `images` with others")
        return images
    pixels = images.cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise GenLabError(
            f"images: expected uint8 [N, C, H, W] with 1 or 3 channels, got {pixels.dtype} "
            f"{list(pixels.shape)}"
        )
    numbers = np.zeros(len(pixels), np.int64) if labels is None else _whole_numbers(labels)
    if numbers.shape != (len(pixels),) or (numbers < 0).any():
        raise GenLabError(f"labels: expected {len(pixels)} classes from 0, got {numbers.shape}")
    classes = tuple(map(str, range(int(numbers.max(initial=0)) + 1)))
    return ImageData(pixels, numbers, pixels[:0], numbers[:0], classes)


def _whole_numbers(labels: ArrayLike) -> NDArray[np.int64]:
    """Labels as int64.

    Raises:
        GenLabError: they are no whole numbers.
    """
    numbers = np.asarray(labels)
    if numbers.dtype.kind not in "iu":
        raise GenLabError(f"labels: expected whole numbers, got {numbers.dtype}")
    return numbers.astype(np.int64)


def _resolve(
    family: str | FamilyConfig, images_seen: int | None, settings: dict[str, Any]
) -> tuple[FamilyConfig, TrainingConfig]:
    """The model and its training, as a study resolves an entry of its `models:`."""
    keys = TrainingConfig.model_fields.keys() - {"images"}
    training = {key: value for key, value in settings.items() if key in keys}
    changes = {key: value for key, value in settings.items() if key not in keys}
    if images_seen is not None:
        training["images"] = images_seen
    if isinstance(family, FamilyConfig):
        values = family.model_dump(mode="json") | changes
        where = f"genlab.fit: {family.family}"
        resolved, config = resolve(values | {"training": training}, where)
        return config, resolved
    entry = load_model({"preset": family, **changes}, training, PRESETS, "genlab.fit")
    return entry.model, entry.training


def fit(
    family: str | FamilyConfig,
    images: Images,
    *,
    labels: ArrayLike | None = None,
    images_seen: int | None = None,
    seed: int = 0,
    device: str | None = None,
    first_stage: Model | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    on_log: Callable[[list[Row]], None] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Model:
    """Train a model and return it in evaluation mode, with averaged weights where it keeps any.

    Args:
        family: a preset of `config/models` ("ddpm", "vae", "glow", ...), the name of a family, or
            its typed configuration.
        images: see `Images`.
        labels: int [N], for arrays of images of several classes.
        images_seen: the budget; training stops after this many images, each epoch counting anew.
        seed: of the weights, the order of the images and the noise.
        device: "cpu" or "cuda"; None takes a GPU where there is one.
        first_stage: the trained model that a second stage builds on, such as the autoencoder of
            latent diffusion.
        checkpoint: a file; the training continues from it, and removes it at the end.
        on_log: called with the rows that were logged since the last call; a row has `step`, `loss`,
            `lr`, `images_per_second` and the other values of the family's loss.
        progress: show a progress bar on a terminal.
        settings: hyperparameters of the family (`timesteps=500`) and of the training
            (`batch_size=64`, `learning_rate=1e-3`, `precision="bf16"`, ...).

    Raises:
        GenLabError: unknown names, images of another shape, a loss that is not finite.
    """
    config, training = _resolve(family, images_seen, settings)
    data = as_data(images, labels)
    name = family if isinstance(family, str) else config.family
    _check(name, config, data, first_stage)
    facts = Facts(data.images.shape[1:], len(data.classes), factors={"class": len(data.classes)})
    accelerator = make_accelerator(training.precision, _on_cpu(device), training.tf32)

    def begin(training: TrainingConfig) -> Training:
        model = build_model(config, facts, address(seed, "weights"), first_stage)
        point = None
        if checkpoint is not None:
            precision = training_precision(training, accelerator)
            parts = (config.digest, training.digest, str(seed), precision)
            weights_before = store.checksum(model.state_dict())  # the first stage's among them
            point = Checkpoint(Path(checkpoint), short_hash(*parts, data.digest, weights_before))
        return Training(
            model,
            _table(data.images, data.labels),
            _table(data.held_out, data.held_out_labels),
            training,
            seed,
            accelerator,
            name,
            point,
        )

    if checkpoint is not None and training.seconds is not None:
        raise ConfigError("checkpoint: a budget in seconds can't be continued; give `images_seen`")
    training = with_images(training, begin)
    state = begin(training)
    log = Log(name, training.steps, on_log or (lambda rows: None), lines=False)
    log.bar = log.bar and progress
    state.run(log, checkpoint_seconds=checkpoint_seconds)
    weights = state.finish()
    trained = build_model(config, facts, 0, first_stage)
    store.load_weights(trained, weights.averaged or weights.raw, name)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return store.for_inference(trained, accelerator.device)


def sample(
    model: Model,
    sampler: str | SamplerConfig | None = None,
    n: int = 64,
    *,
    seed: int = 0,
    labels: ArrayLike | None = None,
    batch_size: int = 100,
    **settings: Any,
) -> Tensor:
    """Draw images from a model: uint8 [n, C, H, W], on the CPU.

    Sample i depends on (seed, i) alone; `batch_size` changes speed and memory only.

    Args:
        labels: the class of each sample, int [n], or of all of them, for a model that knows
            classes; None draws each class in turn.
        sampler: "prior" and "tokens" for models that draw in one pass; "ddpm", "ddim",
            "dpm-solver", "edm", "heun" ... for diffusion and flow models. None takes DPM-Solver++
            in 10 aligned steps for the latter.
        settings: of the sampler, such as `steps=20`, `guidance=2.0` or `temperature=0.7`.

    Raises:
        GenLabError: unknown names, numbers below 1, labels that don't fit, or a sampler that can't
            draw from this model.
    """
    for name, number in (("n", n), ("batch_size", batch_size)):
        if number < 1:
            raise GenLabError(f"{name}: must be at least 1, got {number}")
    if isinstance(sampler, SamplerConfig):
        default: dict[str, Any] = sampler.model_dump(mode="json")
    elif sampler is not None:
        default = {"sampler": sampler}
    elif model.config.generates == "gaussian":
        default = ALIGNED_10
    else:
        default = {"sampler": "tokens" if model.config.draws_tokens else "prior"}
    settings = default | settings
    config = load_sampler(settings, "genlab.sample")
    device = next(model.parameters()).device
    classes = None if labels is None else _classes(model, labels, n).to(device)
    parts = []
    for start in range(0, n, batch_size):
        noise = SampleNoise(seed, range(start, min(start + batch_size, n)), device)
        condition = None if classes is None else classes[start : start + batch_size]
        parts.append(to_uint8(draw(model, config, noise, condition).images).cpu())
    return torch.cat(parts)


def _classes(model: Model, labels: ArrayLike, n: int) -> Tensor:
    """The requested classes int64 [n].

    Raises:
        GenLabError: the model knows no classes, or not these, or there are not `n` of them.
    """
    if not model.config.knows_classes:
        raise GenLabError(f"labels: this {type(model).__name__} knows no classes")
    numbers = _whole_numbers(labels)
    if numbers.shape not in ((), (1,), (n,)):
        raise GenLabError(f"labels: expected {n} classes, or one for all, got {numbers.shape}")
    numbers = np.broadcast_to(numbers, (n,))
    if (numbers < 0).any() or (numbers >= model.classes).any():
        raise GenLabError(f"labels: the classes are 0 to {model.classes - 1}")
    return torch.from_numpy(numbers.copy())


def _on_cpu(device: str | None) -> bool:
    """Whether to stay on the CPU where there is a GPU.

    Raises:
        GenLabError: the device is unknown, or a GPU that is not there.
    """
    if device not in (None, "cpu", "cuda"):
        raise GenLabError(f"device: expected 'cpu', 'cuda' or None, got {shown(device)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise GenLabError("device: 'cuda', but torch finds no GPU; use 'cpu' or None")
    return device == "cpu"


def _table(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Table:
    return Table(images, labels, factors=labels[:, None])


def _check(name: str, config: FamilyConfig, data: ImageData, first_stage: Model | None) -> None:
    """Refuse a model that can't be trained on these data.

    Raises:
        ConfigError: with what to change.
    """
    if config.reads_captions:
        raise ConfigError(f"'{name}' reads captions, which only a study's data sets have")
    needed = config.first_stage_name
    if needed is not None and first_stage is None:
        raise ConfigError(
            f"'{name}' builds on a trained model: first_stage=genlab.fit('{needed}', ...)"
        )
    if needed is None and first_stage is not None:
        raise ConfigError(f"first_stage: '{name}' builds on no other model; leave it out")
    channels, height, width = data.images.shape[1:]
    problems = []
    if height != width:
        problems.append(f"images must be square, these have {height} x {width} pixels")
    shrinks = 1
    if first_stage is not None:
        problems += config.first_stage_problems(first_stage.config)
        shrinks = first_stage.config.shrinks
    problems += config.problems(channels, height // shrinks)
    if problems:
        raise ConfigError("\n".join(f"'{name}': {problem}" for problem in problems))


def save_grid(images: NDArray[np.uint8] | Tensor, path: str | Path, columns: int = 8) -> None:
    """Write uint8 images [N, C, H, W] as one PNG picture, `columns` to a row."""
    pixels = images.cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    pictures.save_grid(Path(path), pixels, columns)


def save(model: Model, path: str | Path) -> None:
    """Write a model as one safetensors file, its architecture included."""
    store.save_model(Path(path), model)


def load(path: str | Path, device: str | None = None) -> Model:
    """Load a model from a file that `save` or a study's training wrote.

    Raises:
        GenLabError: the file is missing, damaged, or holds no model of GenLab.
    """
    return store.load_model(Path(path), pick_device(_on_cpu(device)))


def evaluate(
    samples: NDArray[np.uint8] | Tensor,
    reference: Images,
    *,
    extractor: str | Model = "classifier",
    device: str | None = None,
    **settings: Any,
) -> dict[str, float | None]:
    """Measure samples against reference images by every metric of the league that needs features.

    Args:
        samples: uint8 [N, C, H, W].
        reference: the images to compare with, such as those that the model was trained on.
        extractor: whose features are compared: a trained evaluator, or the name of an extractor.
            "classifier", "contrastive" and "autoencoder-latent" are trained on `reference`, as a
            study does, and kept for the next call; without labels a classifier learns to tell
            quarter turns apart. "pixel-pca" and "low-level" are fitted to it in seconds.
        settings: of `evaluation:`, such as `neighbours=3`.

    Returns:
        Values by metric (`fid`, `kid`, `precision`, ...); None where there are too few images, no
        classes, or no held-out images that the metric needs.

    Raises:
        GenLabError: images of another type or shape, or fewer than the metrics need.
    """
    data, generated = as_data(reference), as_data(samples).images
    if generated.shape[1:] != data.images.shape[1:]:
        raise GenLabError(
            f"samples: images {list(generated.shape[1:])}, but the reference has "
            f"{list(data.images.shape[1:])}"
        )
    config = build(EvaluationConfig, {"samples": len(generated), **settings}, "genlab.evaluate")
    name = extractor if isinstance(extractor, str) else extractor.config.family.replace("_", "-")
    model = _evaluator(name, data, device) if isinstance(extractor, str) else extractor
    facts = find_extractor(name)
    on = next(model.parameters()).device if model else pick_device(_on_cpu(device))
    network = make_extractor(name, model, config, on, data.images)
    features, training = (features_of(network, one, on) for one in (generated, data.images))
    held_out = features_of(network, data.held_out, on) if len(data.held_out) else None
    classes = facts.tells_classes(len(data.classes))
    return measure(Comparison(features, training, config, held_out, classes))


_evaluators: dict[str, Model] = {}
"""Evaluators that `evaluate` has trained, by their name and the hash of the data."""


def _evaluator(name: str, data: ImageData, device: str | None) -> Model | None:
    """The evaluator of an extractor that has to be trained; None for any other."""
    if not find_extractor(name).trained:
        return None
    key = f"{name} {device} {data.digest}"
    if key not in _evaluators:
        _evaluators[key] = fit(name, data, device=device, progress=False)
    return _evaluators[key]
