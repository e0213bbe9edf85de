"""The front door: `genlab.fit`, `sample`, `save` and `load` on arrays, without a workflow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import SIDE, png, stripes
from torch import Tensor

import genlab
import genlab.api
from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.io.history import Row
from genlab.models.base import Model
from genlab.models.store import EMA, RAW, read_tensors, without_prefix
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_evaluation, read_run, read_samples

IMAGES, LABELS = stripes(96, seed=0)
IMAGES = IMAGES[:, None]
BUDGET = {"images_seen": 256, "batch_size": 32, "device": "cpu"}
VAE = {"latent": 2, "channels": 4}
DDPM = {
    "timesteps": 10,
    "network": {"channels": 8, "multipliers": [1, 2], "attention": [1]},
    "ema": 0.9,
}


def equal(first: Model, second: Model) -> bool:
    """Whether two models have the same weights, bit for bit."""
    weights = second.state_dict()
    return all(torch.equal(tensor, weights[name]) for name, tensor in first.state_dict().items())


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, genlab; assert callable(genlab.__getattr__); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'genlab' has no attribute 'train'"):
        genlab.train  # noqa: B018


@pytest.mark.parametrize(("name", "settings"), [("vae", VAE), ("ddpm", DDPM)])
def test_the_weights_and_samples_are_those_of_the_stages(
    name: str, settings: dict[str, object], trained_study: StudyFolder
) -> None:
    """From the same arrays, hyperparameters, budget and seed."""
    run = trained_study.run("stripes", name, 0)
    spec = read_run(run.config)
    training = spec.training.model_dump()
    training["images_seen"] = training.pop("images")
    images, labels = (
        read_array(path) for path in (run.data.images("train"), run.data.labels("train"))
    )
    model = genlab.fit(spec.model, images, labels=labels, device="cpu", **training)
    tensors, _ = read_tensors(run.weights)
    expected = without_prefix(EMA, tensors) or without_prefix(RAW, tensors)
    weights = model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], tensor) for key, tensor in expected.items())

    row = run.samples({"vae": "prior", "ddpm": "ddim-3"}[name])
    sampler = read_samples(row.config).sampler
    samples = genlab.sample(model, sampler, n=32)
    assert np.array_equal(samples.numpy(), read_array(row.samples))


def test_a_saved_model_draws_the_same(tmp_path: Path) -> None:
    model = genlab.fit("vae", IMAGES, labels=LABELS, seed=3, **BUDGET, **VAE)
    samples = genlab.sample(model, n=5, seed=1)
    assert (samples.dtype, samples.shape) == (torch.uint8, (5, 1, SIDE, SIDE))
    genlab.save(model, tmp_path / "vae.safetensors")
    again = genlab.load(tmp_path / "vae.safetensors", device="cpu")
    assert equal(model, again)
    assert torch.equal(genlab.sample(again, "prior", n=5, seed=1, batch_size=2), samples)
    assert not torch.equal(genlab.sample(again, n=5, seed=2), samples)


def test_an_interrupted_fit_continues_with_the_same_bits(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(rows: list[Row]) -> None:
        if rows and rows[-1]["step"] >= 3:
            raise Stop

    path = tmp_path / "checkpoint"
    options = {**BUDGET, **DDPM, "checkpoint": path, "checkpoint_seconds": 0.0}
    with pytest.raises(Stop):
        genlab.fit("ddpm", IMAGES, on_log=stop, **options)
    assert path.exists()
    rows: list[Row] = []
    resumed = genlab.fit("ddpm", IMAGES, on_log=rows.extend, **options)
    assert [row["step"] for row in rows] == list(range(3, 9))  # of 256 images in batches of 32
    assert not path.exists()
    assert equal(resumed, genlab.fit("ddpm", IMAGES, **BUDGET, **DDPM))


def test_the_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    def stop(rows: list[Row]) -> None:
        if rows and rows[-1]["step"] >= 2:
            raise KeyboardInterrupt

    options = {**BUDGET, **VAE, "checkpoint": tmp_path / "it", "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        genlab.fit("vae", IMAGES, on_log=stop, **options)
    for changes in ({"seed": 1}, {"learning_rate": 2e-3}):
        with pytest.raises(GenLabError, match="the checkpoint of another training"):
            genlab.fit("vae", IMAGES, **options, **changes)
    with pytest.raises(GenLabError, match="the checkpoint of another training"):
        genlab.fit("vae", 255 - IMAGES, **options)


def test_a_typed_configuration_is_as_good_as_a_name() -> None:
    network = {"channels": 8, "multipliers": [1, 2], "attention": [1]}
    config = FlowMatchingConfig.model_validate({"network": network})
    first = genlab.fit(config, IMAGES, ema=0.9, **BUDGET)
    named = genlab.fit(
        "flow_matching", torch.from_numpy(IMAGES), ema=0.9, network=network, **BUDGET
    )
    assert equal(first, named)
    assert genlab.sample(first, "heun", n=2, steps=3).shape == (2, 1, SIDE, SIDE)


def test_a_second_stage_builds_on_a_first_one() -> None:
    first = genlab.fit("vqvae", IMAGES, codes=8, latent=4, channels=4, **BUDGET)
    prior = {"width": 8, "layers": 1, "heads": 2}
    model = genlab.fit("vqvae-prior", IMAGES, first_stage=first, **BUDGET, **prior)
    assert genlab.sample(model, "tokens", n=2, temperature=0.5).shape == (2, 1, SIDE, SIDE)
    with pytest.raises(GenLabError, match=r"first_stage=genlab\.fit\('vqvae', \.\.\.\)"):
        genlab.fit("vqvae-prior", IMAGES, **BUDGET, **prior)
    with pytest.raises(GenLabError, match="first_stage: "):
        genlab.fit("ldm-unconditional", IMAGES, first_stage=first, **BUDGET)
    with pytest.raises(GenLabError, match="'vae' builds on no other model; leave it out"):
        genlab.fit("vae", IMAGES, first_stage=first, **BUDGET, **VAE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(GenLabError, match="'cuda', but torch finds no GPU"):
        genlab.fit("vae", IMAGES, device="cuda")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: genlab.fit("ddmp", IMAGES), "unknown model 'ddmp': did you mean 'ddpm'"),
        (
            lambda: genlab.fit("vae", IMAGES, latend=2),
            "unknown key 'latend': did you mean 'latent'",
        ),
        (lambda: genlab.fit("vae", IMAGES / 255), r"images: expected uint8 \[N, C, H, W\]"),
        (lambda: genlab.fit("vae", IMAGES, labels=[1, 2]), "labels: expected 96 classes"),
        (lambda: genlab.fit("vae", IMAGES, labels=96 * [0.5]), "labels: expected whole numbers"),
        (lambda: genlab.fit("vae", IMAGES[:, :, :4]), "images must be square"),
        (lambda: genlab.fit("vae", IMAGES[:, :, :7, :7]), "must be|divisible"),
        (lambda: genlab.fit("ldm", IMAGES), "'ldm' reads captions"),
        (lambda: genlab.fit("vae", IMAGES, device="gpu"), "device: expected 'cpu', 'cuda' or None"),
        (lambda: genlab.load("x", device="cuda:1"), "device: expected 'cpu', 'cuda' or None"),
        (lambda: genlab.load_data("digits", names=["zero"]), "names: 1 names for 10 classes"),
        (lambda: genlab.load_data("digist"), "no data set: did you mean 'digits'"),
        (lambda: genlab.load("nowhere.safetensors"), "nowhere.safetensors: no such file"),
    ],
)
def test_a_mistake_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(GenLabError, match=message):
        call()


def test_a_sampler_that_does_not_fit_is_refused() -> None:
    model = genlab.fit("vae", IMAGES, **BUDGET, **VAE)
    with pytest.raises(GenLabError, match="unknown sampler 'ddmi'"):
        genlab.sample(model, "ddmi")
    with pytest.raises(GenLabError, match="sampler 'ddim'"):
        genlab.sample(model, "ddim")


def test_data_sets_by_name_and_own_pictures(tmp_path: Path) -> None:
    digits = genlab.load_data("digits")
    assert digits.images.shape == (4000, 1, 28, 28)
    assert digits.held_out.shape == (1000, 1, 28, 28)
    assert digits.classes == tuple("0123456789")
    for i, (image, label) in enumerate(zip(IMAGES[:20, 0], LABELS[:20], strict=True)):
        folder = tmp_path / "pictures" / ("down", "across")[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(png(image))
    own = genlab.load_data(tmp_path / "pictures")
    assert own.classes == ("across", "down")
    assert own.images.shape[1:] == (1, SIDE, SIDE)
    assert len(own.images) + len(own.held_out) == 20
    larger = genlab.load_data(tmp_path / "pictures", size=16, channels=1, resize=True)
    assert larger.images.shape[1:] == (1, 16, 16)
    model = genlab.fit("vae", tmp_path / "pictures", **BUDGET, **VAE)
    assert isinstance(genlab.sample(model, n=1), Tensor)
    with Image.open(tmp_path / "pictures/down/0.png") as picture:
        assert picture.size == (SIDE, SIDE)


def test_samples_of_a_class_are_requested_by_labels() -> None:
    conditional = {**DDPM, "conditional": True}
    model = genlab.fit("ddpm", IMAGES, labels=LABELS, **BUDGET, **conditional)
    in_turn = genlab.sample(model, "ddim", n=4, steps=3)
    assert torch.equal(genlab.sample(model, "ddim", n=4, steps=3, labels=[0, 1, 0, 1]), in_turn)
    ones = genlab.sample(model, "ddim", n=4, steps=3, labels=1)
    assert torch.equal(ones[1::2], in_turn[1::2]) and not torch.equal(ones[0], in_turn[0])
    with pytest.raises(GenLabError, match="labels: the classes are 0 to 1"):
        genlab.sample(model, "ddim", n=4, steps=3, labels=2)
    for labels, message in (
        ([0, 1, 0], r"expected 4 classes, or one for all, got \(3,\)"),
        ([[0, 1], [0, 1]], r"expected 4 classes, or one for all, got \(2, 2\)"),
        ([0.7], "expected whole numbers, got float64"),
    ):
        with pytest.raises(GenLabError, match=f"labels: {message}"):
            genlab.sample(model, "ddim", n=4, steps=3, labels=labels)
    for name in ("n", "batch_size"):
        with pytest.raises(GenLabError, match=f"^{name}: must be at least 1, got 0"):
            genlab.sample(model, **{name: 0})
    with pytest.raises(GenLabError, match="knows no classes"):
        genlab.sample(genlab.fit("vae", IMAGES, **BUDGET, **VAE), n=1, labels=1)


def test_the_metrics_are_those_of_the_league(trained_study: StudyFolder) -> None:
    """In the features of the study's own classifier, with the study's settings."""
    run = trained_study.run("stripes", "ddpm", 0)
    data = run.data
    reference = genlab.api.ImageData(
        read_array(data.images("train")), read_array(data.labels("train")),
        read_array(data.images("test")), read_array(data.labels("test")), ("across", "down"),
    )  # fmt: skip
    classifier = genlab.load(trained_study.classifier("stripes").weights, device="cpu")
    config = read_evaluation(trained_study.evaluation)
    settings = config.model_dump(include={"neighbours", "splits"})
    samples = read_array(run.samples("ddim-3").samples)
    measured = genlab.evaluate(samples, reference, extractor=classifier, **settings)
    expected = read_json(run.metrics)["ddim-3"]["classifier"]
    assert measured == {name: expected[name] for name in measured}
    assert {"fid", "kid", "precision", "recall"} <= measured.keys()


def test_evaluate_trains_its_classifier_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, other = IMAGES[:64], 255 - IMAGES[:64]
    tiny = {"channels": 4, "features": 8, "images_seen": 320, "batch_size": 32}
    fit, calls = genlab.api.fit, []

    def small(name: str, *args: object, **kwargs: object) -> Model:
        calls.append(name)
        return fit(name, *args, **kwargs, **tiny)  # type: ignore[arg-type]

    monkeypatch.setattr(genlab.api, "fit", small)
    results = [genlab.evaluate(one, real, device="cpu", splits=2) for one in (real, other)]
    assert calls == ["classifier"]
    assert results[0]["fid"] < results[1]["fid"]  # type: ignore[operator]
    with pytest.raises(GenLabError, match=r"samples: images \[1, 7, 8\], but the reference"):
        genlab.evaluate(real[:, :, 1:], real)
    with pytest.raises(GenLabError, match="unknown extractor 'clasifier': did you mean"):
        genlab.evaluate(real, real, extractor="clasifier")
