"""The prior over codes: its chain rule, its cache, its bound, and that it learns."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from oracles import awake, first_stage
from torch import Tensor

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.families.code_prior import CodePriorConfig
from genlab.config.families.dvae import DVAEConfig
from genlab.config.families.vqvae import VQVAEConfig
from genlab.errors import ConfigError
from genlab.models.base import Batch, Facts, build_model
from genlab.models.batches import AT_ONCE, to_float
from genlab.models.capabilities import DrawOptions
from genlab.models.code_prior import CodePrior
from genlab.models.vqvae import VQVAE
from genlab.processes.noise import SampleNoise


def make_prior(shape: tuple[int, int, int] = (1, 8, 12), codes: int = 5) -> CodePrior:
    """A prior over grids of 2 x 3 codes of an awake first stage, all of which are used."""
    first = first_stage(shape, codes)
    config = CodePriorConfig(width=16, layers=2, heads=2, dropout=0.5)
    return awake(CodePrior(config, shape, 10, first))


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


@torch.no_grad()
def test_probabilities_of_all_grids_sum_to_one() -> None:
    """Of two codes in a grid of 2 x 3, all 64 of them."""
    prior = make_prior(codes=2)
    grids = torch.tensor(list(itertools.product(range(2), repeat=6))).reshape(64, 2, 3)
    total = (-prior.code_nats(grids).sum(dim=1)).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)  # float32


@torch.no_grad()
def test_a_code_is_predicted_from_those_before_it() -> None:
    """Code j changed: the nats of codes before it keep every bit, its own and later ones don't."""
    prior, indices = make_prior(), torch.randint(5, (4, 2, 3))
    before = prior.code_nats(indices)
    for j in range(6):
        other = indices.flatten(1).clone()
        other[:, j] = (other[:, j] + 1) % 5
        after = prior.code_nats(other.reshape(4, 2, 3))
        assert torch.equal(before[:, :j], after[:, :j])
        assert not (before[:, j:] == after[:, j:]).all(dim=0).any()


@torch.no_grad()
def test_drawing_with_the_cache_follows_the_full_pass_code_by_code() -> None:
    """Each drawn code is the inverse CDF, at its u, of the logits of a pass over all codes."""
    prior, noise = make_prior(), SampleNoise(3, range(20))
    codes = prior.draw_codes(noise, DrawOptions(temperature=0.8)).flatten(1)
    u = SampleNoise(3, range(20)).uniform(6)
    begin = torch.full((20, 1), prior.begin)
    logits = prior.logits(torch.cat([begin, codes[:, :-1]], dim=1))  # [20, 6, 5]
    cumulative = (logits / 0.8).softmax(dim=2).cumsum(dim=2)
    for i, j in itertools.product(range(20), range(6)):
        k = int(codes[i, j])
        low = float(cumulative[i, j, k - 1]) if k else 0.0
        # Both passes agree to 1e-5, so a u that close to an edge may fall to either side.
        assert low - 1e-5 <= float(u[i, j]) <= float(cumulative[i, j, k]) + 1e-5


@torch.no_grad()
def test_drawn_grids_have_the_probabilities_they_are_said_to_have() -> None:
    """Of 4,000 grids of two codes, each is as frequent as its p(c)."""
    prior, n = make_prior(codes=2), 4000
    samples = prior.draw_codes(SampleNoise(0, range(n))).flatten(1)
    number = (samples * 2 ** torch.arange(6)).sum(dim=1)
    grids = (torch.arange(64)[:, None] >> torch.arange(6)) & 1
    p = (-prior.code_nats(grids.reshape(64, 2, 3)).sum(dim=1)).exp()
    frequency = number.bincount(minlength=64) / n
    # Five standard errors of a frequency, and one grid where p is nearly 0
    assert bool(((frequency - p).abs() < 5 * (p / n).sqrt() + 1 / n).all())


@torch.no_grad()
def test_a_sample_does_not_know_its_batch() -> None:
    """Drawn alone, by sevens, or all at once."""
    prior = make_prior()
    whole = prior.generate(SampleNoise(1, range(64)))
    assert whole.shape == (64, 1, 8, 12) and 0 <= float(whole.min()) < float(whole.max()) <= 1
    for size in (1, 7):
        parts = [
            prior.generate(SampleNoise(1, range(i, min(i + size, 64)))) for i in range(0, 64, size)
        ]
        # The same codes; another batch size may take another order of summation in the decoder.
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_low_temperature_draws_the_likeliest_codes() -> None:
    prior = make_prior()
    codes = prior.draw_codes(SampleNoise(0, range(30)), DrawOptions(temperature=1e-6))
    assert len(codes.unique(dim=0)) == 1
    tokens = torch.cat([torch.tensor([[prior.begin]]), codes[:1].flatten(1)[:, :-1]], dim=1)
    assert torch.equal(prior.logits(tokens).argmax(dim=2), codes[:1].flatten(1))


@torch.no_grad()
def test_the_first_code_is_one_of_the_likeliest() -> None:
    """Of 500 draws, exactly the two likeliest occur; or those that hold half of the probability."""
    prior, noise = make_prior(), SampleNoise(0, range(500))
    p = prior.logits(torch.tensor([[prior.begin]]))[0, 0].softmax(dim=0)
    ranked = p.argsort(descending=True).tolist()
    of_two = prior.draw_codes(noise, DrawOptions(top_k=2))[:, 0, 0]
    assert set(of_two.tolist()) == set(ranked[:2])
    kept = [k for i, k in enumerate(ranked) if float(p[ranked[:i]].sum()) < 0.5]
    half = prior.draw_codes(SampleNoise(0, range(500)), DrawOptions(top_p=0.5))[:, 0, 0]
    assert set(half.tolist()) == set(kept) and len(kept) < 5


@torch.no_grad()
def test_loss_is_the_mean_of_the_codes_nats_and_code_bits_their_share() -> None:
    prior, images = make_prior(), torch.rand(6, 1, 8, 12)
    values = prior.loss(batch_of(images))
    nats = prior.code_nats(prior.first_stage.encode_indices(images))
    assert nats.shape == (6, 6)
    torch.testing.assert_close(values["loss"], nats.mean(), rtol=1e-6, atol=0)
    share = float(nats.sum(dim=1).mean()) / 96 / math.log(2)
    assert float(values["code_bits"]) == pytest.approx(share, rel=1e-5)


@torch.no_grad()
def test_codes_found_before_the_training_are_those_of_the_images() -> None:
    """Looked up where a batch says which training images it holds; else encoded as ever."""
    prior = make_prior()
    pixels = torch.randint(256, (AT_ONCE + 5, 1, 8, 12), dtype=torch.uint8)
    which = torch.tensor([AT_ONCE + 4, 0, AT_ONCE - 1, AT_ONCE, 3])
    batch = batch_of(to_float(pixels[which]))
    encoded = prior.loss(batch)
    prior.measure(pixels.numpy())
    black = batch._replace(images=torch.zeros_like(batch.images), indices=which)
    # float32, the codes are the same: encoded in batches of another size
    torch.testing.assert_close(prior.loss(black)["loss"], encoded["loss"], rtol=1e-6, atol=0)
    assert torch.equal(prior.loss(batch)["loss"], encoded["loss"])
    assert prior.loss(black._replace(indices=None))["loss"] != encoded["loss"]
    assert not any("training_" in name for name in prior.state_dict())


@torch.no_grad()
def test_the_bound_is_the_codes_log_probability_and_the_decoder_s_density() -> None:
    """Token by token, pixel by pixel, with the encoder shown x / 255 and not y."""
    prior, x = make_prior(), torch.randint(256, (3, 1, 8, 12))
    y = (x + torch.rand(x.shape)) / 256
    first = prior.first_stage
    codes = first.encode_indices(to_float(x))
    decoded = first.decode_indices(codes)
    expected = []
    for i in range(3):
        tokens = [prior.begin, *codes[i].flatten().tolist()]
        log_p = sum(
            float(prior.logits(torch.tensor([tokens[:n]]))[0, -1].log_softmax(dim=0)[tokens[n]])
            for n in range(1, 7)
        )
        pixels = first.likelihood.log_prob(to_float(x[i : i + 1]), decoded[i : i + 1])
        log_p += sum(float(value) + math.log(256) for value in pixels.flatten())
        expected.append(log_p)
    # float32 sums of a hundred terms of size 10
    result = prior.log_density(y, "elbo", 1)
    torch.testing.assert_close(result, torch.tensor(expected), rtol=1e-4, atol=1e-2)


@torch.no_grad()
def test_the_bound_is_below_the_exact_log_density() -> None:
    """log p(y) by the sum over all 64 grids; the gap is -log p(c(x)|y)."""
    prior = make_prior(codes=2)
    y = torch.rand(4, 1, 8, 12)
    grids = torch.tensor(list(itertools.product(range(2), repeat=6))).reshape(64, 2, 3)
    joint = torch.stack(
        [prior.first_stage.log_p(image.expand(64, -1, -1, -1), grids) for image in y]
    ).double() - prior.code_nats(grids).sum(dim=1)  # [4, 64]
    bound, exact = prior.log_density(y, "elbo", 1), joint.logsumexp(dim=1)
    assert bool((bound <= exact + 1e-2).all())  # float32 sums of size 1000
    codes = prior.first_stage.encode_indices((256 * y).floor() / 255).flatten(1)
    number = (codes * 2 ** torch.arange(5, -1, -1)).sum(dim=1)
    gap = -(joint.log_softmax(dim=1)[torch.arange(4), number])
    torch.testing.assert_close(exact - bound, gap, rtol=0, atol=1e-2)


def test_the_first_stage_is_frozen_and_saved_with_it() -> None:
    """Training the prior changes nothing of it, its codebook's averages neither."""
    prior = make_prior().train()
    before = {name: t.clone() for name, t in prior.first_stage.state_dict().items()}
    optimizer = torch.optim.Adam([w for w in prior.parameters() if w.requires_grad])
    for _ in range(3):
        prior(batch_of(torch.rand(4, 1, 8, 12)))["loss"].backward()
        optimizer.step()
    after = prior.state_dict()
    assert all(torch.equal(t, after[f"first_stage.{name}"]) for name, t in before.items())
    other = awake(VQVAE(prior.first_stage.config, prior.shape, 10))
    loaded = build_model(prior.config, Facts(prior.shape, 10), 1, other)
    loaded.load_state_dict(after)
    y = torch.rand(2, 1, 8, 12)
    densities = [p.eval().log_density(y, "elbo", 1) for p in (prior, loaded)]  # type: ignore
    assert torch.equal(*densities)


def test_it_learns_four_images_codes_by_heart() -> None:
    """Cross entropy towards log(4) / 6 a code, the entropy of four equally frequent sequences."""
    torch.manual_seed(0)
    prior = make_prior()
    prior = CodePrior(prior.config.model_copy(update={"dropout": 0.0}), prior.shape, 10,
                      prior.first_stage)  # fmt: skip
    images = torch.rand(4, 1, 8, 12)
    grids = prior.first_stage.encode_indices(images)
    assert len(grids.unique(dim=0)) == 4
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(150):
        loss = prior(batch_of(images))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The entropy is a lower bound, and of what is above it a tenth is left to learn.
    assert math.log(4) / 6 <= loss.item() + 1e-4
    assert loss.item() < math.log(4) / 6 + 0.1 * (math.log(5) - math.log(4) / 6)
    samples = prior.eval().draw_codes(SampleNoise(0, range(50)))
    memorised = [any(torch.equal(one, grid) for grid in grids) for one in samples]
    assert sum(memorised) >= 40


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 10, "heads": 4}, "heads"),
        ({"layers": 0}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"first": "vqvae"}, "'first_stage'"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(CodePriorConfig, {"family": "code_prior", **values}, "here")


def test_only_a_discrete_autoencoder_has_codes() -> None:
    config = CodePriorConfig(first_stage="mine")
    assert config.first_stage_name == "mine"
    assert config.first_stage_problems(VQVAEConfig()) == []
    assert config.first_stage_problems(DVAEConfig()) == []
    (problem,) = config.first_stage_problems(build_family({"family": "ddpm"}, "here"))
    assert "'mine'" in problem and "ddpm" in problem and "vqvae or dvae" in problem
