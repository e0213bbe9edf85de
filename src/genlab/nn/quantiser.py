"""Vector quantisation with a codebook of moving averages (van den Oord et al. 2017).

VQ-VAE, arXiv:1711.00937: every vector z is replaced by the nearest e_k of a codebook of K vectors
(equation 1). The codebook is learned without gradients, by the moving averages of appendix A.1:
with n_k vectors of the batch nearest to code k,

    N_k <- decay N_k + (1 - decay) n_k                  (equation 6)
    m_k <- decay m_k + (1 - decay) sum of those vectors (equation 7)
    e_k  = m_k / N_k                                    (equation 8)

N and m are stored without smoothing. The Laplace smoothing of N, which avoids division by zero, is
applied where e_k is computed. So the stored values are linear in the vectors, and with an EMA of
the weights over training steps, which averages N and m as well, e_k is still a mean of vectors.

The codebook starts with vectors of the first training batch. A code whose N_k falls below a
threshold is replaced by a random vector of the batch (Dhariwal et al. 2020, arXiv:2005.00341,
section 3), with the mean N of all codes, which gives it time to attract vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.nn.collectives import sum_over_processes, whole_batch
from genlab.nn.layers import mirror_on_host

EPSILON = 1e-5  # of the Laplace smoothing, in vectors


class Quantised(NamedTuple):
    """Quantised vectors z [B, D, h, w].

    Attributes:
        vectors: [B, D, h, w], equal to the nearest codes; their gradient goes to z unchanged.
        indices: int64 [B, h, w], numbers of these codes.
        commitment: the mean of |z - sg(e)|^2 over all numbers in z.
    """

    vectors: Tensor
    indices: Tensor
    commitment: Tensor


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of code usage `counts` [K]: 1 if one code is used, K if all equally."""
    p = counts.float() / counts.sum().clamp(min=1)
    nats: Tensor = torch.special.entr(p).sum()
    return nats.exp()


def code_counts(indices: Tensor, codes: int) -> Tensor:
    """Number of uses of each of K = `codes` codes in `indices`, int64 [K].

    Unlike `torch.bincount` it does not wait for a GPU.
    """
    flat = indices.flatten()
    return flat.new_zeros(codes).scatter_add_(0, flat, torch.ones_like(flat))


class Quantiser(nn.Module):
    """A codebook of `codes` vectors of `width` numbers.

    Args:
        decay: decay rate of the moving averages.
        restart_below: a code with N_k below this value, or below half of the mean N if that is
            less, is replaced; 0 replaces none.
    """

    counts: Tensor
    sums: Tensor
    started: Tensor
    epoch: Tensor
    this_epoch: Tensor
    last_epoch: Tensor

    def __init__(self, codes: int, width: int, decay: float, restart_below: float) -> None:
        super().__init__()
        self.codes, self.decay, self.restart_below = codes, decay, restart_below
        self.register_buffer("counts", torch.ones(codes))  # N
        self.register_buffer("sums", torch.randn(codes, width))  # m
        self.register_buffer("started", torch.tensor(False))
        mirror_on_host(self, "started")
        # Usage of each code in the current epoch, and in the last complete one
        self.register_buffer("epoch", torch.tensor(0))
        self.register_buffer("this_epoch", torch.zeros(codes, dtype=torch.int64))
        self.register_buffer("last_epoch", torch.zeros(codes, dtype=torch.int64))

    def codebook(self) -> Tensor:
        """e, float32 [K, D]."""
        n = self.counts.sum()
        smoothed = (self.counts + EPSILON) / (n + self.codes * EPSILON) * n
        return self.sums / smoothed[:, None]

    def nearest(self, flat: Tensor) -> Tensor:
        """z [N, D] -> int64 [N], the k of least |z - e_k|^2 = |z|^2 - 2 z e_k + |e_k|^2."""
        e = self.codebook()
        return torch.addmm(e.square().sum(dim=1), flat, e.T, alpha=-2).argmin(dim=1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> their vectors [B, D, h, w]."""
        return F.embedding(indices, self.codebook()).movedim(-1, 1)

    def forward(self, z: Tensor, epoch: int = 0) -> Quantised:
        """Quantise z [B, D, h, w] in float32; in training, then update the codebook."""
        with torch.autocast(z.device.type, enabled=False):
            return self._quantise(z.float(), epoch)

    def _quantise(self, z: Tensor, epoch: int) -> Quantised:
        vectors = z.detach().movedim(1, -1).flatten(1, 2)  # [B, h w, D]
        flat = vectors.flatten(0, 1)  # [B h w, D]
        if self.training and not self.on_host:
            self._start(vectors)
        k = self.nearest(flat)
        indices = k.reshape(len(z), *z.shape[2:])
        e = self.lookup(indices)
        commitment = (z - e).square().mean()
        if self.training:
            self._follow(vectors, k, epoch)
        return Quantised(z + (e - z).detach(), indices, commitment)

    def reported_counts(self, indices: Tensor) -> Tensor:
        """Number of uses of each code, int64 [K].

        In training, those of the last complete epoch, or of the first epoch so far; otherwise those
        in `indices`.
        """
        if not self.training:
            return code_counts(indices, self.codes)
        return torch.where(self.last_epoch.any(), self.last_epoch, self.this_epoch)

    def _random_vectors(self, z: Tensor) -> Tensor:
        """Random vectors [K, D] from z [B, h w, D] of all processes, one for each code."""
        flat = whole_batch(z).flatten(0, 1)
        n, repetitions = len(flat), -(-self.codes // len(flat))
        # In place, see `BatchNoise`; without repetition if there are enough vectors
        u = torch.empty(repetitions, n, device=flat.device).uniform_()
        return flat[u.argsort(dim=1).flatten()[: self.codes]]

    @torch.no_grad()
    def _start(self, z: Tensor) -> None:
        """Initialise the codes with vectors of z [B, h w, D], each with its share of the batch."""
        size = torch.full((), z.shape[:2].numel(), dtype=torch.float64, device=z.device)
        self.counts.copy_(sum_over_processes(size) / self.codes)
        self.sums.copy_(self._random_vectors(z) * self.counts[:, None])
        self.started.fill_(True)
        self.on_host = True

    @torch.no_grad()
    def _follow(self, z: Tensor, k: Tensor, epoch: int) -> None:
        """Apply equations 6 and 7 to z [B, h w, D] with codes k [B h w]; then restarts and
        statistics.
        """
        flat = z.flatten(0, 1)
        n = code_counts(k, self.codes)
        # Sorted by code, vectors are summed in the order of the batch. So the sums are reproducible
        # to the last bit, unlike `index_add` on a GPU.
        sums = F.embedding_bag(k.argsort(stable=True), flat, n.cumsum(0) - n, mode="sum")  # [K, D]
        n = sum_over_processes(n)
        self.counts.lerp_(n.float(), 1 - self.decay)
        self.sums.lerp_(sum_over_processes(sums), 1 - self.decay)

        if self.restart_below > 0:
            self._restart(z)

        next_epoch = self.epoch < epoch
        self.last_epoch.copy_(torch.where(next_epoch, self.this_epoch, self.last_epoch))
        self.this_epoch.masked_fill_(next_epoch, 0)
        self.epoch.clamp_(min=epoch)
        self.this_epoch += n

    def _restart(self, z: Tensor) -> None:
        """Replace unused codes by random vectors of z [B, h w, D].

        The vectors are drawn at every step: to look for unused codes first, the processor would
        wait for a GPU.
        """
        # At most half the mean: with more codes than vectors a new code would be dead at once.
        mean = self.counts.mean()
        dead = self.counts < (mean / 2).clamp(max=self.restart_below)
        self.sums.copy_(torch.where(dead[:, None], self._random_vectors(z) * mean, self.sums))
        self.counts.copy_(torch.where(dead, mean, self.counts))
