"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon): orthogonalised momentum.

The momentum M = U S V^T of a weight matrix is dominated by a few directions with large singular
values; a step along M, or along Adam's normalised gradient, learns little in all others. Muon steps
along U V^T instead, the nearest matrix whose singular values are all one. With momentum mu and the
gradient G of a weight W [m, n],

    M <- mu M + (1 - mu) G
    W <- W - lr .2 sqrt(max(m, n)) orthogonalised((1 - mu) G + mu M)

The factor gives a step the size that AdamW's usually have, so one learning rate serves both
(Liu et al. 2025, arXiv:2502.16982, equation 4). A convolution [C_out, C_in, K, K] is treated as the
matrix [C_out, C_in K K], a transposed one as [C_in, C_out K K]. Jordan et al. leave the first and
last layers to AdamW; here Muon takes them too.

`torch.optim.Muon` handles matrices only, one at a time and in bfloat16. Here all matrices with the
same smaller side are iterated together, through their Gram matrices, in float32: on a CPU this
takes less than a third of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

A, B, C = 3.4445, -4.7750, 2.0315
"""Coefficients of the polynomial a x + b x^3 + c x^5 (Jordan et al., 'Newton-Schulz'). Applied five
times it maps singular values from .002 to 1 into .68 to 1.21, and multiplies smaller ones by about
a^5."""
ITERATIONS = 5
TINY = 1e-14  # the least squared norm that is divided by, so that zeros stay zeros


def orthogonalised(matrices: list[Tensor]) -> list[Tensor]:
    """Return U V^T for each U S V^T, up to singular values below .002 of the norm.

    X <- a X + b (X X^T) X + c (X X^T)^2 X is iterated as X <- P X; only the Gram matrix G = X X^T
    of the smaller side and the product P of all polynomials are kept. G holds squares, so it needs
    full float32: TensorFloat-32 is not precise enough.

    Args:
        matrices: float32 [m, n] each, of any sizes; divided by their norm first.
    """
    wide = [x.T if x.shape[0] > x.shape[1] else x for x in matrices]
    by_side: dict[int, list[int]] = {}
    for i, x in enumerate(wide):
        by_side.setdefault(len(x), []).append(i)
    results: dict[int, Tensor] = {}
    for group in by_side.values():
        factors = _factors(torch.stack([wide[i] @ wide[i].T for i in group]))
        results |= {i: factor @ wide[i] for i, factor in zip(group, factors.unbind(), strict=True)}
    return [results[i].T if x.shape[0] > x.shape[1] else results[i] for i, x in enumerate(matrices)]


def _factors(gram: Tensor) -> Tensor:
    """P / ||X|| of all iterations, [N, n, n], for the Gram matrices X X^T [N, n, n]."""
    norm = gram.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(min=TINY).sqrt()[:, None, None]
    gram = gram / norm.square()
    polynomial = _polynomial(gram)
    total = polynomial * (1 / norm)
    for _ in range(ITERATIONS - 1):
        # Polynomials of the Gram matrix commute with it and with each other.
        gram = polynomial @ gram @ polynomial
        polynomial = _polynomial(gram)
        total = polynomial @ total
    return total


def _polynomial(gram: Tensor) -> Tensor:
    """a + b G + c G^2 of Gram matrices G [N, n, n]."""
    polynomial = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    polynomial.diagonal(dim1=1, dim2=2).add_(A)
    return polynomial


def is_matrix(module: nn.Module) -> bool:
    """Whether Muon can take the weight of `module`: a linear map from one space to another.

    Depthwise convolutions and embeddings are none.
    """
    return isinstance(module, nn.Linear) or (
        isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.groups == 1
    )


class Muon(torch.optim.Optimizer):
    """The Muon optimiser for weights [m, n] and [C_out, C_in, K, K].

    Args:
        weight_decay: lambda; weights shrink by lr lambda a step, as AdamW's do.
        momentum: mu.
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step for all weights that have a gradient; `closure` is not used."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step(weights, group["lr"], group["weight_decay"], group["momentum"])

    def _step(self, weights: list[Tensor], lr: float, decay: float, momentum: float) -> None:
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means = [self._mean(weight) for weight in weights]
        torch._foreach_lerp_(means, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, means, momentum)
        steps = orthogonalised([step.flatten(1) for step in ahead])
        if decay:
            torch._foreach_mul_(weights, 1 - lr * decay)
        for weight, step in zip(weights, steps, strict=True):
            rate = lr * 0.2 * math.sqrt(max(step.shape))
            weight.sub_(step.reshape(weight.shape), alpha=rate)

    def _mean(self, weight: Tensor) -> Tensor:
        """The momentum of a weight, zero at first."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum"]
        return mean
