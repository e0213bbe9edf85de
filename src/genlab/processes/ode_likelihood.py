"""The density of an image by the probability-flow ODE.

Along dx/dt = v(x, t) the log density changes by (Chen et al. 2018, arXiv:1806.07366, theorem 1;
Song et al. 2021, arXiv:2011.13456, equation 39)

    d log p_t(x_t) / dt = -tr J,    J = dv/dx

so that with the noise at the end, whose density is known,

    log p(x) = log N(x_T; 0, s^2) + int tr J dt

J is too large to store. But tr J = E[sum_k u_k' J u_k] wherever E[sum_k u_k u_k'] is the identity.
One probe u with random signs (Hutchinson 1989; FFJORD, arXiv:1810.01367, section 3.1) gives an
unbiased log p; it is fixed along the whole path, so that the trajectory still solves an ODE. All
unit vectors give the exact trace, at one backward pass through the network each.

The density is that of the ODE from pure noise, N(0, s^2) at the path's t_max, to a level t_0 with
little noise. Its samples are x / alpha at t_0, not the image: they contain noise, which the sampler
would remove by a last denoising. An image y that is measured contains noise as well, that of
dequantisation. So t_0 is where both are of equal size, sigma / alpha = 2 / 255 / sqrt(12), or the
path's first level if that has more noise. For a pixel that the model is sure of, N(0, sigma^2) is
then the Gaussian that is nearest to the uniform noise, at a cost of log(2 pi e / 12) / 2 nats, a
quarter of a bit.

Predictions of x_0 are clipped where those of the sampler are: the velocity has kinks then, but
stays Lipschitz, so the map from noise to image is invertible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.data.randomness import generator
from genlab.processes.gaussian import Denoiser
from genlab.processes.ode import rms, solve

CELL_STD = 2 / 255 / math.sqrt(12)
"""Standard deviation of the noise of dequantisation, uniform on cells of 2 / 255 on [-1, 1]."""


def signs(images: Tensor) -> Tensor:
    """Random signs of the shape of `images` [B, C, H, W]; those of an image depend on it only."""
    streams = (generator("probe", 0, image.cpu().numpy().tobytes().hex()) for image in images)
    coins = [torch.from_numpy(stream.integers(2, size=images.shape[1:])) for stream in streams]
    return 2 * torch.stack(coins).to(images) - 1


def units(images: Tensor) -> list[Tensor]:
    """The D unit vectors, each of the shape of `images` [B, C, H, W]."""
    flat = torch.eye(images[0].numel(), dtype=images.dtype, device=images.device)
    return [one.view_as(images[0]).expand_as(images) for one in flat]


def velocity_and_trace(
    denoiser: Denoiser, x: Tensor, t: Tensor, which: Tensor, probes: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """dx/dt [b, C, H, W] at x_t, and tr J [b] estimated by the `probes` [b, C, H, W]."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        velocity = denoiser.velocity(x, t, which)
        trace = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for probe in probes:
            (product,) = torch.autograd.grad(
                velocity, x, probe, retain_graph=probe is not probes[-1]
            )
            trace = trace + (product * probe).flatten(1).sum(dim=1)
    return velocity.detach(), trace


def error_norm(errors: Tensor) -> Tensor:
    """Norm of errors [b, D + 1] of image and density: the larger of the two, [b].

    A common norm would be dominated by the many pixels.
    """
    return torch.maximum(rms(errors[:, :-1]), errors[:, -1].abs())


def log_density(
    denoiser: Denoiser,
    pixels: Tensor,
    *,
    rtol: float = 1e-3,
    atol: float = 1e-3,
    exact: bool = False,
) -> Tensor:
    """log p(y), in nats float64 [B], of dequantised images y [B, C, H, W] on [0, 1).

    Args:
        rtol, atol: tolerances of a step of the solver, in grey values on [-1, 1] and in nats per
            dimension.
        exact: compute the exact trace, for images of a few pixels.

    Raises:
        ValueError: the tolerances need too many steps.
    """
    path, shape, dimensions = denoiser.path, pixels.shape[1:], pixels[0].numel()
    first = max(path.t_min, float(path.time_of(torch.tensor(CELL_STD, dtype=torch.float64))))
    alpha, _ = denoiser.level(first)
    probes = units(pixels.double()) if exact else [signs(pixels).double()]

    def slope(state: Tensor, t: Tensor, which: Tensor) -> Tensor:
        x = state[:, :-1].reshape(-1, *shape)
        own_probes = [probe[which] for probe in probes]
        velocity, trace = velocity_and_trace(denoiser, x, t, which, own_probes)
        return torch.cat([velocity.flatten(1), trace[:, None] / dimensions], dim=1)

    # y = (v + u) / 256 -> the cell around 2 v / 255 - 1, the grey value v of training and bound
    x = alpha * ((512 * pixels.double() - 1) / 255 - 1).flatten(1)
    state = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    *_, last = solve(slope, state, first, path.t_max, rtol=rtol, atol=atol, norm=error_norm)
    noise, trace_integral = last.x[:, :-1], dimensions * last.x[:, -1]
    variance = path.prior_std(path.t_max) ** 2
    prior = -(noise**2 / variance + math.log(2 * math.pi * variance)).sum(dim=1) / 2
    return prior + trace_integral + dimensions * math.log(alpha * 512 / 255)
