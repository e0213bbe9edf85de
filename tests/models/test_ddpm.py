"""The DDPM: its loss against the analytic expectation and at the ideal network; its bound."""

from __future__ import annotations

import math

import pytest
import torch
from oracles import (
    StreamNoise,
    awake,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genlab.config.families.ddpm import DDPMConfig
from genlab.config.gaussian import PredictionType
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch
from genlab.models.ddpm import DDPM
from genlab.nn.unet import UNet
from genlab.processes.bound import prior_nats, reverse_step_terms, step_nats
from genlab.processes.paths import SCHEDULES, DiscretePath
from genlab.samplers import ddpm as ancestral
from genlab.samplers import find

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())

predictions = pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
schedules = pytest.mark.parametrize("schedule", SCHEDULES)


def make_ddpm(
    schedule: str,
    prediction: PredictionType,
    timesteps: int,
    shape: tuple[int, int, int] = SHAPE,
    **more: object,
) -> DDPM:
    config = DDPMConfig.model_validate(
        {"schedule": schedule, "prediction": prediction, "timesteps": timesteps, "network": UNET}
        | more
    )
    return DDPM(config, shape, 10)


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


@torch.no_grad()
@predictions
@schedules
def test_loss_of_the_untrained_network_is_its_expectation(
    schedule: str, prediction: PredictionType
) -> None:
    """The network says 0, so that the loss is the mean square of what it is asked for.

    E[eps^2] = 1; x_0^2 = .64 of grey .9; E[v^2] = mean_t(alpha_bar_t + (1 - alpha_bar_t) x_0^2),
    since E[eps] = 0.
    """
    ddpm = make_ddpm(schedule, prediction, 1000)
    images = torch.full((200, *SHAPE), 0.9)
    losses = torch.stack([ddpm.loss(batch_of(images))["loss"] for _ in range(20)])
    alpha_bar = ddpm.path.alpha_bar
    v_squared = float((alpha_bar + (1 - alpha_bar) * 0.64).mean())
    expected = {"eps": 1.0, "x0": 0.64, "v": v_squared}[prediction]
    # Four standard errors of the mean of 20 losses, and the rounding of float32
    error = 4 * float(losses.std()) / 20**0.5 + 1e-6
    assert float(losses.mean()) == pytest.approx(expected, abs=error)
    assert float(losses.std()) < 0.05  # about sqrt(2 / 3 200): the tolerance means something


@torch.no_grad()
@pytest.mark.parametrize("timesteps", [1000, 64])
@predictions
@schedules
def test_the_ideal_network_has_no_loss_and_gives_the_data_back(
    schedule: str, prediction: PredictionType, timesteps: int
) -> None:
    """On a data set of one image the right prediction is certain: the loss is 0 at every time.

    So loss and denoiser agree on the scale of pixels, on times, and on what is predicted; and
    sampling ends at the image.
    """
    ddpm = make_ddpm(schedule, prediction, timesteps)
    image = torch.rand(1, *SHAPE)
    mean = posterior_mean_of_points(2 * image.flatten(1).double() - 1)
    ddpm.predict = ideal_denoiser(mean, ddpm.path, prediction).network  # type: ignore[method-assign, assignment]
    loss = ddpm.loss(batch_of(image.expand(500, -1, -1, -1)))["loss"]
    # x_t is rounded to 2**-24 and then divided by sigma, .006 at the least: 1e-5, squared.
    assert float(loss) < 1e-9
    *_, last = find("ddim")(ddpm.denoiser(), StreamNoise(0, 3), SHAPE, steps=10)
    torch.testing.assert_close(
        last.x, (2 * image - 1).double().expand(3, -1, -1, -1), rtol=0, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("timesteps", [1000, 64])
@pytest.mark.parametrize(
    ("times", "mean", "std"),
    [("uniform", 0.0, 1.0), ("logit-normal", 0.0, 1.0), ("logit-normal", 0.5, 0.8)],
)
def test_training_tells_the_network_times_on_0_to_1000(
    times: str, mean: float, std: float, timesteps: int
) -> None:
    """1000 t / T for whole t from 0 to T - 1, as often as their distribution says.

    'logit-normal' is the sigmoid of N(m, s): P(t <= k) = Phi((logit((k + 1) / T) - m) / s).
    """
    samples = {"times": times, "logit_mean": mean, "logit_std": std}
    config = DDPMConfig.model_validate({**samples, "timesteps": timesteps, "network": UNET})
    ddpm = DDPM(config, SHAPE, 10)
    inputs: list[Tensor] = []
    ddpm.network.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[1]))
    n = 20 * timesteps
    ddpm.loss(batch_of(torch.rand(n, *SHAPE)))
    indices = inputs[0].double() * timesteps / 1000
    torch.testing.assert_close(indices, indices.round(), rtol=0, atol=1e-4)  # float32 of 1000
    counts = torch.bincount(indices.round().long(), minlength=timesteps)
    assert len(counts) == timesteps
    if times == "uniform":
        assert bool((counts > 0).all())  # 20 of each are expected, none has chance T e^-20
    share = torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps
    below = share if times == "uniform" else Normal(mean, std).cdf(share.logit())
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((counts.cumsum(0) / n - below).abs().max()) < 2 / n**0.5


@predictions
@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weighs_the_error_of_x0(prediction: PredictionType, gamma: float) -> None:
    """min(SNR, gamma) on x_0, over SNR on eps and over SNR + 1 on v (2303.09556, section 3.4)."""
    ddpm = make_ddpm("cosine", prediction, 100, weighting="min-snr", gamma=gamma)
    t = torch.arange(1, 101) / 100
    ddpm.draw_times = lambda n, device: t.double()  # type: ignore[method-assign]
    weight = ddpm.weight(ddpm.add_noise(batch_of(torch.rand(100, *SHAPE))).t)
    snr = ddpm.path.alpha_bar / (1 - ddpm.path.alpha_bar)
    of_target = {"eps": snr, "x0": torch.ones(100), "v": snr + 1}[prediction]
    torch.testing.assert_close(weight, snr.clamp(max=gamma) / of_target)
    assert bool((make_ddpm("cosine", prediction, 100).weight(t.double()) == 1).all())


# ---- the variational bound ---------------------------------------------------------------------


def gap_of_variances(path: DiscretePath, std: float, learned: float) -> float:
    """What the bound of the ideal network for data N(0, std^2) falls short of, in nats a pixel.

    A reverse step is Gaussian, of the posterior's variance and that of x_0 given x_t besides; the
    model's has its mean and another variance, and a step costs the KL of the two.
    """
    alpha, sigma = path.level(torch.arange(1, len(path) + 1) / len(path))
    of_x0 = std**2 * sigma**2 / (alpha**2 * std**2 + sigma**2)
    from_x0, small, large = reverse_step_terms(path, torch.arange(len(path)))
    added = torch.where(torch.arange(len(path)) == 0, 0.0, small.exp())  # x_0 itself is a point
    true = added + from_x0**2 * of_x0
    model = torch.lerp(small, large, (learned + 1) / 2).exp()
    return float(kl_divergence(Normal(0.0, true.sqrt()), Normal(0.0, model.sqrt())).sum())


@torch.no_grad()
@pytest.mark.parametrize("timesteps", [30, 300])
@pytest.mark.parametrize("learned", [None, 1.0, -0.5])
def test_the_bound_of_the_ideal_network_exceeds_the_entropy_by_the_variances_kl(
    timesteps: int, learned: float | None
) -> None:
    """Of one pixel whose 256 grey values are as likely as N(0, .2^2) has them."""
    std, n = 0.2, 4000
    greys = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    p = (-(greys**2) / (2 * std**2)).softmax(dim=0)
    mean = posterior_mean_of_gaussian(torch.zeros(1).double(), std**2 * torch.eye(1).double())
    ddpm = make_ddpm("linear", "v", timesteps, (1, 1, 1), learned_variance=learned is not None)
    network = ideal_denoiser(mean, ddpm.path, "v").network

    def predict(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        output = network(x, t, labels)
        return (
            output if learned is None else torch.cat([output, torch.full_like(x, learned)], dim=1)
        )

    ddpm.predict = predict  # type: ignore[method-assign]
    samples = torch.multinomial(p, n, replacement=True)
    density = ddpm.log_density(((samples + 0.5) / 256).float().reshape(n, 1, 1, 1), "elbo", 1)
    # Beside the -log p of just these pixels, so that their choice adds no error
    above = (math.log(256) - density) + p[samples].log()
    gap, error = float(above.mean()), float(above.std()) / n**0.5
    expected = gap_of_variances(ddpm.path, std, -1.0 if learned is None else learned)
    # A grey value is 1/3 of the last step's deviation wide or less: 1/100 of the variance is its
    assert gap == pytest.approx(expected, abs=4 * error + 0.01)
    assert expected > 0 and error < 0.15


@torch.no_grad()
def test_all_blocks_of_one_are_the_whole_bound_and_wider_ones_are_unbiased() -> None:
    """The mean of many estimates, of 12 terms by 5, and of all 12 with the same network."""
    ddpm = awake(make_ddpm("linear", "v", 12))
    pixels = ((torch.randint(256, (1, *SHAPE)) + 0.5) / 256).expand(2000, -1, -1, -1)
    totals = []
    for count in (12, 5):
        parts, nats = ddpm.bound_terms(pixels, count)
        assert len(parts) == count and nats.shape == (2000, count + 1)
        totals.append(nats.sum(dim=1))
    error = sum(float(total.var()) / 2000 for total in totals) ** 0.5
    gap = abs(float(totals[0].mean() - totals[1].mean()))
    assert gap < 4 * error < 0.1 * float(totals[0].mean())


@torch.no_grad()
def test_the_bound_is_the_sum_of_terms_computed_directly() -> None:
    """By a loop over t with the denoiser's own answer, on the same random numbers."""
    ddpm = awake(make_ddpm("cosine", "v", 8, learned_variance=True))
    pixels = torch.rand(3, *SHAPE)
    torch.manual_seed(5)
    density = ddpm.log_density(pixels, "elbo", 1)
    torch.manual_seed(5)
    x0 = 2 * ((256 * pixels).floor() / 255) - 1
    nats = prior_nats(ddpm.path, x0)
    for i in range(8):
        index = torch.randint(i, i + 1, (3,))
        alpha_bar = ddpm.path.alpha_bar[i]
        x = alpha_bar.sqrt().float() * x0 + (1 - alpha_bar).sqrt().float() * torch.randn_like(x0)
        nats = nats + step_nats(ddpm.path, x0, index, ddpm.denoiser()(x, (i + 1) / 8))
    # float32 of x_t, and sums of 16 pixels
    torch.testing.assert_close(density, 16 * math.log(256) - nats, rtol=1e-5, atol=1e-3)


def test_hybrid_training_teaches_the_variance_by_the_bound_and_the_mean_by_l_simple() -> None:
    """L_simple + .001 L_vlb: the bound's gradient reaches the variance's channels alone."""
    ddpm = awake(make_ddpm("cosine", "v", 20, learned_variance=True)).train()
    assert isinstance(ddpm.network, UNet)
    batch = batch_of(torch.randint(256, (8, *SHAPE)) / 255)
    gradients = {}
    for name in ("loss", "simple", "bound"):
        torch.manual_seed(1)
        values = ddpm.loss(batch)
        (gradients[name],) = torch.autograd.grad(values[name], ddpm.network.last.weight)
    simple, bound = values["simple"].detach(), values["bound"].detach()
    assert float(values["loss"].detach()) == float(simple + 0.001 * bound)
    mean, variance = slice(0, 1), slice(1, 2)
    assert float(gradients["bound"][mean].abs().max()) == 0
    assert float(gradients["simple"][variance].abs().max()) == 0
    torch.testing.assert_close(gradients["loss"][mean], gradients["simple"][mean])
    torch.testing.assert_close(gradients["loss"][variance], 0.001 * gradients["bound"][variance])
    assert float(gradients["bound"][variance].abs().max()) > 0


@torch.no_grad()
def test_l_vlb_is_the_bound_in_bits_a_dimension() -> None:
    """Over all times alike, but for the prior's term, which nothing can learn."""
    ddpm = awake(make_ddpm("linear", "v", 10, learned_variance=True))
    images = (torch.randint(256, (1, *SHAPE)) / 255).expand(1000, -1, -1, -1)
    ddpm.draw_times = lambda n, device: (torch.arange(n) % 10 + 1) / 10  # type: ignore[method-assign]
    losses = torch.stack([ddpm.loss(batch_of(part))["bound"] for part in images.split(10)])
    nats = ddpm.bound_terms((images * 255 + 0.5) / 256, 10)[1][:, :-1].sum(dim=1)
    bits = nats / (16 * math.log(2))
    error = (float(losses.var()) / 100 + float(bits.var()) / 1000) ** 0.5
    gap = abs(float(losses.mean()) - float(bits.mean()))
    assert gap < 4 * error < 0.1 * float(bits.mean())


@torch.no_grad()
def test_a_learned_variance_is_drawn_from() -> None:
    """An untrained network says 0, halfway between the logarithms of both fixed variances."""
    ddpm = make_ddpm("cosine", "v", 20, learned_variance=True)
    states = {
        kind: next(find("ddpm")(ddpm.denoiser(), StreamNoise(0, 2), SHAPE, steps=20, variance=kind))
        for kind in ("small", "large", "learned")
    }
    # x = mean + std z with the same mean and z
    quiet = next(find("ddim")(ddpm.denoiser(), StreamNoise(0, 2), SHAPE, steps=20))
    assert torch.equal(states["small"].x0, quiet.x0)
    levels = (*ddpm.path.level(1.0).scalars(), *ddpm.path.level(0.95).scalars())
    _, _, small = ancestral.reverse_step(*levels)
    large = ancestral.forward_variance(*levels)
    step = (states["large"].x - states["small"].x) / (large**0.5 - small**0.5)
    between = states["small"].x + ((small * large) ** 0.25 - small**0.5) * step
    torch.testing.assert_close(states["learned"].x, between, rtol=0, atol=1e-9)
