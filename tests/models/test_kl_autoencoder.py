"""The KL autoencoder: its objective, what the perceptual term teaches, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from latent_models import FACTS, batch_of, make_autoencoder
from oracles import awake
from torch.distributions import Normal, kl_divergence

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.families.kl_autoencoder import KLAutoencoderConfig
from genlab.errors import ConfigError
from genlab.models.base import build_model
from genlab.models.classifier import Classifier
from genlab.models.kl_autoencoder import DiagonalGaussian, KLAutoencoder


def make_perceptual(perceptual: float = 1.0) -> tuple[KLAutoencoder, Classifier]:
    classifier = build_model(
        build_family({"family": "classifier", "channels": 8}, "here"), FACTS, 0
    )
    values = {"family": "kl_autoencoder", "channels": 4, "perceptual": perceptual}
    model = build_model(build_family(values, "here"), FACTS, 0, awake(classifier))
    assert isinstance(model, KLAutoencoder) and isinstance(classifier, Classifier)
    return model, classifier


def test_the_divergence_is_torch_s_closed_form() -> None:
    mean, logvar = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0))
    # float32 sums of a dozen numbers of size 1
    torch.testing.assert_close(DiagonalGaussian(mean, logvar).kl(), expected.sum(dim=(1, 2, 3)))
    assert DiagonalGaussian(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).kl() == 0


def test_latents_are_drawn_from_the_posterior() -> None:
    """Of 20,000, mean and deviation to five standard errors."""
    n = 20_000
    z = DiagonalGaussian(torch.full((n, 1, 1, 1), 0.7), torch.full((n, 1, 1, 1), -2.0)).draw()
    std = math.exp(-1)
    assert float(z.mean()) == pytest.approx(0.7, abs=5 * std / n**0.5)
    assert float(z.std()) == pytest.approx(std, abs=5 * std / (2 * n) ** 0.5)


@torch.no_grad()
@pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])
def test_with_a_weight_of_one_the_loss_is_a_vae_s_bound(likelihood: str) -> None:
    """-log p(x|z) + KL, over the 64 pixels, of the z that training draws."""
    model, images = make_autoencoder(kl=1.0, likelihood=likelihood), torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    values = model.loss(batch_of(images))
    torch.manual_seed(1)
    mean, logvar = model.encoder(2 * images - 1).chunk(2, dim=1)
    decoded = model.decode(mean + (logvar / 2).exp() * torch.randn_like(mean))
    nats = -model.likelihood.log_prob(images, decoded).sum(dim=(1, 2, 3))
    kl = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=(1, 2, 3))
    # float32 sums of a hundred terms
    torch.testing.assert_close(values["loss"], (nats + kl).mean() / 64, rtol=1e-5, atol=0)
    torch.testing.assert_close(values["kl"], kl.mean(), rtol=1e-5, atol=0)


def test_the_perceptual_term_teaches_decoder_and_encoder_and_not_the_classifier() -> None:
    """Its gradient alone, as the difference of the losses' with and without it."""
    gradients = []
    for weight in (0.0, 1.0):
        model, classifier = make_perceptual(perceptual=1.0)
        model.config = model.config.model_copy(update={"perceptual": weight})
        awake(model.encoder), awake(model.decoder)
        model.train()
        torch.manual_seed(2)
        values = model.loss(batch_of(torch.rand(4, 1, 8, 8)))
        values["loss"].backward()
        assert all(weight.grad is None for weight in classifier.parameters())
        last = list(model.decoder.parameters())[-2].grad
        first = next(model.encoder.parameters()).grad
        assert last is not None and first is not None
        gradients.append((first.clone(), last.clone()))
    for without, with_it in zip(*gradients, strict=True):
        assert not torch.allclose(without, with_it, rtol=1e-3)
    assert float(values["perceptual"].detach()) > 0
    assert not classifier.training


@torch.no_grad()
def test_the_perceptual_term_is_the_distance_of_features() -> None:
    model, classifier = make_perceptual(perceptual=0.5)
    images = torch.rand(4, 1, 8, 8)
    torch.manual_seed(1)
    values = model.loss(batch_of(images))
    torch.manual_seed(1)
    mean = model.likelihood.mean(model.decode(model.encode(images).draw()))
    distance = (classifier.features(mean) - classifier.features(images)).square().mean()
    torch.testing.assert_close(values["perceptual"], distance)
    expected = values["distortion"] + 1e-6 * values["kl"] / 64 + 0.5 * distance
    torch.testing.assert_close(values["loss"], expected)


@torch.no_grad()
def test_a_reconstruction_is_decoded_from_the_mean() -> None:
    """And so draws nothing: twice the same."""
    model, images = make_autoencoder(), torch.rand(3, 1, 8, 8)
    again = model.reconstruct(images)
    assert torch.equal(again, model.images_of(model.encode(images).mean))
    assert torch.equal(again, model.reconstruct(images))
    assert again.shape == images.shape and 0 <= float(again.min()) <= float(again.max()) <= 1


def test_it_learns_a_few_images() -> None:
    """Four images of noise: from the error of their mean, 1 / 12, to a twentieth of it."""
    config = KLAutoencoderConfig(channels=16, latent=8, likelihood="gaussian")
    model = KLAutoencoder(config, (1, 8, 8), 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = batch_of(torch.rand(4, 1, 8, 8))
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(batch)["loss"].backward()
        optimizer.step()
    assert float(model.loss(batch)["mse"]) < 1 / 12 / 20


@pytest.mark.parametrize(
    ("values", "message"),
    [({"kl": -1}, "kl"), ({"perceptual": -0.1}, "perceptual"), ({"latent": 0}, "latent")],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(KLAutoencoderConfig, {"family": "kl_autoencoder", **values}, "here")


def test_only_with_the_perceptual_term_it_builds_on_the_classifier() -> None:
    assert KLAutoencoderConfig().first_stage_name is None
    perceptual = KLAutoencoderConfig(perceptual=0.1)
    assert perceptual.first_stage_name == "classifier"
    assert perceptual.first_stage_problems(build_family({"family": "classifier"}, "here")) == []
    (problem,) = perceptual.first_stage_problems(build_family({"family": "vae"}, "here"))
    assert "'classifier' is of family vae" in problem
    assert perceptual.problems(1, 28) == []
    (problem,) = perceptual.problems(1, 30)
    assert problem.startswith("levels: 2 need an image side divisible by 4, but it is 30")
