"""Latent diffusion: the scale of its latents, what it is told, and that it listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from latent_models import FACTS, NETWORK, TEXT, batch_of, captions, make_autoencoder, make_ldm
from torch import Tensor

from genlab.config.families import build_family
from genlab.config.families.latent_diffusion import LatentDiffusionConfig
from genlab.data.tokenizer import END, PAD
from genlab.errors import ConfigError
from genlab.models.base import Facts, Words, build_model
from genlab.models.batches import AT_ONCE, to_float
from genlab.models.kl_autoencoder import DiagonalGaussian, KLAutoencoder
from genlab.models.latent_diffusion import LatentDiffusion
from genlab.nn.text import null_prompt
from genlab.processes.noise import SampleNoise
from genlab.results.layout import StudyFolder
from genlab.samplers import find
from genlab.workflow.models import load_trained
from genlab.workflow.train import train

NOTHING = null_prompt(5)


@torch.no_grad()
def test_the_measured_scale_brings_the_drawn_latents_to_mean_zero_and_deviation_one() -> None:
    """Each channel of z ~ q(z|x) over all training images, whatever the encoder's own scale."""
    model = make_ldm()
    for weight in model.first_stage.encoder[-1].parameters():
        weight.mul_(2)  # a scale that is far from one in every channel
    pixels = torch.randint(256, (AT_ONCE + 100, 1, 8, 8), dtype=torch.uint8)
    model.measure(pixels.numpy())
    batch = batch_of(to_float(pixels))._replace(indices=torch.arange(len(pixels)))
    x0 = torch.cat([model.pair(batch)[0] for _ in range(10)])
    # 24,000 numbers a channel, four of an image: five standard errors are .03 and .03
    for result, expected in ((x0.mean(dim=(0, 2, 3)), 0.0), (x0.std(dim=(0, 2, 3)), 1.0)):
        torch.testing.assert_close(result, torch.full((3,), expected), rtol=0, atol=0.04)
    raw = torch.cat([model.encode(batch.images).draw() for _ in range(10)])
    assert float((raw.std(dim=(0, 2, 3)) - 1).abs().min()) > 0.1  # it wasn't so before


@torch.no_grad()
def test_latents_found_before_the_training_are_those_of_the_images() -> None:
    """Looked up where a batch says which training images it holds; else encoded as ever."""
    model = make_ldm()
    for weight in model.first_stage.encoder[-1].parameters():
        weight.mul_(2)  # a scale that is far from one in every channel
    pixels = torch.randint(256, (AT_ONCE + 5, 1, 8, 8), dtype=torch.uint8)
    model.measure(pixels.numpy())
    which = torch.tensor([AT_ONCE + 4, 0, AT_ONCE - 1, AT_ONCE, 3])
    batch = batch_of(to_float(pixels[which]))
    black = batch._replace(images=torch.zeros_like(batch.images), indices=which)
    result = []
    for each in (batch, black, black._replace(indices=None)):
        torch.manual_seed(1)
        result.append(model.pair(each)[0])
    # float32, encoded in batches of another size
    torch.testing.assert_close(result[1], result[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(result[2], result[0], rtol=1e-4, atol=1e-4)
    assert not any("training_" in name for name in model.state_dict())


@torch.no_grad()
def test_to_the_path_and_back_is_the_autoencoder_s_reconstruction() -> None:
    model, images = make_ldm(), torch.rand(4, 1, 8, 8)
    assert model.to_path(images).shape == (4, *model.path_shape) == (4, 3, 2, 2)
    # shift and scale are taken off and put back in float32
    torch.testing.assert_close(
        model.from_path(model.to_path(images)), model.first_stage.reconstruct(images),
        rtol=0, atol=1e-5,
    )  # fmt: skip


@torch.no_grad()
def test_guidance_of_one_is_the_model_and_of_zero_that_without_a_prompt() -> None:
    """To the bit; and 3 lies on the line through both."""
    model, tokens = make_ldm(), captions(6)
    x, t = torch.randn(6, *model.path_shape), 0.4
    at = torch.full((6,), t)
    conditional = model.predict(x, at, tokens)
    none = model.predict(x, at, NOTHING.expand(6, 5))
    assert not torch.allclose(conditional, none, rtol=1e-2)

    def x0(output: Tensor) -> Tensor:
        return model.denoiser().interpret(output, x, torch.tensor(t, dtype=torch.float64)).x0

    def guided(guidance: float) -> Tensor:
        return model.denoiser(tokens, guidance)(x, t).x0

    # The texts are encoded in another batch, sorted
    torch.testing.assert_close(guided(1.0), x0(conditional), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(guided(0.0), x0(none), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        guided(3.0), x0(none + 3 * (conditional - none)), rtol=1e-4, atol=1e-4
    )
    assert torch.equal(guided(0.0), model.denoiser()(x, t).x0)
    one = model.denoiser(tokens, 1.0)
    assert one(x, t).x0 is not None and one.evaluations == 6


@torch.no_grad()
def test_a_text_is_encoded_once_and_not_at_every_step() -> None:
    """Of eight samples of three texts, the three and that of none, in a whole walk; in eights."""
    model, encoded = make_ldm(), []
    model.read.register_forward_pre_hook(lambda _, arguments: encoded.append(len(arguments[0])))
    tokens = captions(3)[torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])]
    denoiser = model.denoiser(tokens, guidance=2.0)
    *_, last = find("ddim")(denoiser, SampleNoise(0, range(8)), model.path_shape, steps=5)
    assert encoded == [8]
    assert denoiser.evaluations == 2 * 5 * 8
    # Same prompt, other noise; and each sample is that of its own prompt
    alone = model.denoiser(tokens[2:3], guidance=2.0)
    *_, one = find("ddim")(alone, SampleNoise(0, range(2, 3)), model.path_shape, steps=5)
    torch.testing.assert_close(one.x, last.x[2:3], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_captions_are_dropped_for_that_of_nothing_by_the_share() -> None:
    model, n = make_ldm(label_dropout=0.2), 2000
    batch = batch_of(torch.rand(n, 1, 8, 8))
    condition = model.condition(batch)
    assert condition is not None and batch.tokens is not None
    dropped = (condition == NOTHING).all(dim=1)
    assert torch.equal(condition[~dropped], batch.tokens[~dropped])
    # Five standard errors of a share of .2 among n
    assert float(dropped.float().mean()) == pytest.approx(0.2, abs=5 * (0.16 / n) ** 0.5)


@pytest.mark.parametrize("settings", [{"text": False}, {"text": False, "conditional": True}])
def test_without_text_it_is_as_any_other(settings: dict[str, Any]) -> None:
    model, labels = make_ldm(**settings), torch.tensor([1, 2])
    assert not any("read" in name for name in model.state_dict())
    denoiser_labels = model.denoiser(labels).labels
    assert (denoiser_labels is None) == (not model.config.conditional)
    assert model.loss(batch_of(torch.rand(2, 1, 8, 8)))["loss"].isfinite()


def test_it_learns_to_listen() -> None:
    """Of two latents, each with a caption of its own, the caption chooses one."""
    fresh = build_model(make_ldm(timesteps=50).config, FACTS, 0, make_autoencoder())
    assert isinstance(fresh, LatentDiffusion)
    latents = torch.randn(2, *fresh.path_shape).sign()
    fresh.training_latents = DiagonalGaussian(latents, torch.full_like(latents, -20.0))
    which = torch.arange(32) % 2
    batch = batch_of(torch.rand(32, 1, 8, 8))._replace(indices=which, tokens=captions(2)[which])
    optimizer = torch.optim.Adam([w for w in fresh.parameters() if w.requires_grad], lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        fresh.loss(batch)["loss"].backward()
        optimizer.step()
    denoiser = fresh.eval().denoiser(captions(2)[which[:16]])
    with torch.no_grad():
        *_, last = find("ddim")(denoiser, SampleNoise(0, range(16)), fresh.path_shape, steps=10)
    nearest = torch.cdist(last.x.float().flatten(1), latents.flatten(1)).argmin(dim=1)
    assert torch.equal(nearest, which[:16])


def test_a_chain_of_three_is_trained_saved_and_loaded(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Classifier, autoencoder with its features, captions' latent diffusion: one file each."""
    at = tiny_study(
        seeds=[3],
        evaluation={"classifier": {"images": 64}},
        models=[
            "vae",  # for the tiny study's other sampler
            {"preset": "latent_diffusion", "timesteps": 20, "network": NETWORK, **TEXT},
            {"preset": "kl_autoencoder", "channels": 4, "perceptual": 0.1},
        ],
        samplers={"ddim-3": {"sampler": "ddim", "steps": 3, "guidance": 2.0}},
    )  # fmt: skip
    classifier, below = at.classifier("stripes"), at.run("stripes", "kl_autoencoder", 3)
    run = at.run("stripes", "latent_diffusion", 3)
    for each in (classifier, below, run):
        train(each, cpu=True)
    for each in (classifier, below):
        each.weights.unlink()  # not needed any more
    model = load_trained(run)
    assert isinstance(model, LatentDiffusion)
    assert model.first_stage.first_stage is not None
    assert float(model.scale.min()) > 0 and not torch.equal(model.scale, torch.ones(4, 1, 1))
    torch.testing.assert_close(model.nothing[:2], torch.tensor([END, PAD]))
    from genlab.workflow.sample import sample
    from genlab.workflow.trajectories import trajectories

    sample(run.samples("ddim-3"), cpu=True)
    trajectories(run, cpu=True)
    assert (run.trajectories / "trajectories.json").exists()


@torch.no_grad()
def test_a_place_of_the_grid_is_known_where_all_its_pixels_are() -> None:
    facts = Facts((3, 8, 12), 10, Words(12, 5))
    model = make_ldm(facts)
    observed = torch.ones(2, 3, 8, 12, dtype=torch.bool)
    observed[0, 1, 3, 4] = False  # one channel of one pixel, in row 0 and column 1 of the grid
    observed[1, :, 4:] = False
    result = model.observed_on_path(observed)
    assert result.shape == (2, *model.path_shape) == (2, 3, 2, 3)
    expected = torch.ones(2, 3, 2, 3, dtype=torch.bool)
    expected[0, :, 0, 1] = False
    expected[1, :, 1] = False
    assert torch.equal(result, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": True, "conditional": True}, "text: a caption includes the class"),
        ({"text": True, "network": {"backbone": "dit"}}, "text: only the U-Net supports captions"),
        ({"text_width": 10}, "text_heads: 4 must divide text_width 10"),
        ({"clip": True}, "clip"),
        ({"learned_variance": True}, "learned_variance"),
    ],
)
def test_what_is_not_there_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_family({"family": "latent_diffusion", **values}, "here")


def test_only_a_kl_autoencoder_has_latents_to_denoise() -> None:
    config = LatentDiffusionConfig(first_stage="mine")
    assert config.first_stage_problems(make_autoencoder().config) == []
    (problem,) = config.first_stage_problems(build_family({"family": "vae"}, "here"))
    assert "'mine' is of family vae" in problem and "kl_autoencoder" in problem
    assert config.likelihoods == () and "latents" in config.no_likelihood
    assert not config.takes_prompts and LatentDiffusionConfig(text=True).takes_prompts


def test_its_declared_types_are_what_it_is_built_on() -> None:
    model = make_ldm()
    assert isinstance(model.first_stage, KLAutoencoder)
    assert model.facts == FACTS
