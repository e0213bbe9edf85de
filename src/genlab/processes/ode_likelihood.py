"""The density of an image by the probability-flow ODE.

Along dx/dt = v(x, t) the density of what is carried along changes by (Chen et al. 2018,
arXiv:1806.07366, theorem 1; Song et al. 2021, arXiv:2011.13456, equation 39)

    d log p_t(x_t) / dt = -tr J,    J = dv/dx

so that with the noise at the end of the way, whose density is known,

    log p(x) = log N(x_T; 0, s^2) + int tr J dt

J is too large to be written down. But tr J = E[sum_k u_k' J u_k] wherever E[sum_k u_k u_k'] is the
identity: of one probe u with random signs (Hutchinson 1989; FFJORD, arXiv:1810.01367, section 3.1),
which makes log p unbiased and stays the same all along the way, so that the ODE is still one; or of
all unit vectors, which is exact and costs a pass back through the network each.

What the model is taken for: the ODE from pure noise, N(0, s^2) at the path's t_max, to t_min. That
is a density of its own, whose samples are the path's x_t at t_min rather than the image: x with
noise of sigma(t_min), and without the sampler's last denoising. x_0 is not clipped, the map
from noise to image must be invertible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from genlab.data.randomness import generator
from genlab.processes.gaussian import Denoiser
from genlab.processes.ode import rms, solve


def signs(images: Tensor) -> Tensor:
    """Random signs of the shape of `images` [B, C, H, W]; those of an image depend on it alone."""
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
    """dx/dt [b, C, H, W] at x_t, and tr J [b] as the `probes` [b, C, H, W] see it."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        velocity = denoiser.velocity(x, t, which)
        trace = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for probe in probes:
            (back,) = torch.autograd.grad(velocity, x, probe, retain_graph=probe is not probes[-1])
            trace = trace + (back * probe).flatten(1).sum(dim=1)
    return velocity.detach(), trace


def error_norm(errors: Tensor) -> Tensor:
    """Of image and density apart, so that many pixels don't drown it; [b, D + 1] -> [b]."""
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
        rtol, atol: what a step of the solver may err, in grey values on [-1, 1] and in nats for
            each dimension.
        exact: take the trace of all of J, for images of a few pixels.

    Raises:
        ValueError: the tolerances ask for too many steps.
    """
    free, path = replace(denoiser, clip=False), denoiser.path
    shape, dimensions = pixels.shape[1:], pixels[0].numel()
    probes = units(pixels.double()) if exact else [signs(pixels).double()]

    def slope(state: Tensor, t: Tensor, which: Tensor) -> Tensor:
        x = state[:, :-1].reshape(-1, *shape)
        seen = [probe[which] for probe in probes]
        velocity, trace = velocity_and_trace(free, x, t, which, seen)
        return torch.cat([velocity.flatten(1), trace[:, None] / dimensions], dim=1)

    # y = (v + u) / 256 -> the cell around 2 v / 255 - 1, where training and the bound put grey v
    x = ((512 * pixels.double() - 1) / 255 - 1).flatten(1)
    state = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)
    *_, last = solve(slope, state, path.t_min, path.t_max, rtol=rtol, atol=atol, norm=error_norm)
    denoiser.evaluations = free.evaluations
    noise, gained = last.x[:, :-1], dimensions * last.x[:, -1]
    variance = path.prior_std(path.t_max) ** 2
    prior = -(noise**2 / variance + math.log(2 * math.pi * variance)).sum(dim=1) / 2
    return prior + gained + dimensions * math.log(512 / 255)
