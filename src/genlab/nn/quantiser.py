"""Vector quantisation with a codebook that follows its vectors (van den Oord et al. 2017).

VQ-VAE, arXiv:1711.00937: every vector z is replaced by the nearest e_k of a codebook of K vectors
(equation 1). The codebook is learned without gradients, by the moving averages of appendix A.1:
with n_k vectors of the batch nearest to code k,

    N_k <- decay N_k + (1 - decay) n_k                  (equation 6)
    m_k <- decay m_k + (1 - decay) sum of those vectors (equation 7)
    e_k  = m_k / N_k                                    (equation 8)

N and m are kept raw; the Laplace smoothing of N, so that no code divides by nothing, is done where
e_k is formed and goes back into neither. What is linear can be averaged: a moving average of the
weights over training steps, which averages N and m as well, leaves e_k a mean of the vectors.

The codebook starts as vectors of the first training batch. A code whose N_k has sunk below a
threshold starts again as a random vector of the batch (Dhariwal et al. 2020, arXiv:2005.00341,
section 3), with the mean N of all codes, so that it is given time to find vectors of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5  # of the Laplace smoothing, in vectors


class Quantised(NamedTuple):
    """What became of vectors z [B, D, h, w].

    Attributes:
        vectors: [B, D, h, w], equal to the nearest codes; their gradient goes to z unchanged.
        indices: int64 [B, h, w], which codes they are.
        commitment: the mean of |z - sg(e)|^2 over all numbers in z.
    """

    vectors: Tensor
    indices: Tensor
    commitment: Tensor


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of codes used `counts` [K] times: 1 if only one is, K if all alike."""
    p = counts.float() / counts.sum().clamp(min=1)
    nats: Tensor = torch.special.entr(p).sum()
    return nats.exp()


def _over_processes(tensor: Tensor) -> Tensor:
    """The sum of `tensor` over all processes of a training."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


class Quantiser(nn.Module):
    """A codebook of `codes` vectors of `width` numbers.

    Args:
        decay: of the moving averages.
        restart_below: the N_k under which a code starts again, if that is less than half of the
            mean N; 0 never does.
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
        # How often each code was used in the epoch under way, and in the last complete one
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
        """Quantise z [B, D, h, w]; in training, the codebook then takes a step towards it.

        All of it in float32, also where layers compute in bfloat16.
        """
        with torch.autocast(z.device.type, enabled=False):
            return self._quantise(z.float(), epoch)

    def _quantise(self, z: Tensor, epoch: int) -> Quantised:
        flat = z.detach().movedim(1, -1).flatten(0, 2)  # [B h w, D]
        if self.training and not self.started:
            self._start(flat)
        k = self.nearest(flat)
        indices = k.reshape(len(z), *z.shape[2:])
        e = self.lookup(indices)
        commitment = (z - e).square().mean()
        if self.training:
            self._follow(flat, k, epoch)
        return Quantised(z + (e - z).detach(), indices, commitment)

    def usage(self, indices: Tensor) -> Tensor:
        """How often each code was used, int64 [K].

        In training: in the last complete epoch, or during the first one in it so far; otherwise
        in `indices`.
        """
        if not self.training:
            return torch.bincount(indices.flatten(), minlength=self.codes)
        return self.last_epoch if self.last_epoch.any() else self.this_epoch

    def _drawn(self, flat: Tensor) -> Tensor:
        """A vector [K, D] for each code, drawn from z [N, D]; the same ones in all processes."""
        n = len(flat)
        # Without repetition, as far as there are enough
        which = torch.rand(-(-self.codes // n), n, device=flat.device).argsort(dim=1).flatten()
        drawn = flat[which[: self.codes]]
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(drawn, src=0)
        return drawn

    @torch.no_grad()
    def _start(self, flat: Tensor) -> None:
        """Take the first codes from z [N, D], each with its share of the batch's vectors."""
        size = _over_processes(torch.tensor(float(len(flat)), device=flat.device))
        self.counts.fill_(float(size) / self.codes)
        self.sums.copy_(self._drawn(flat) * self.counts[:, None])
        self.started.fill_(True)

    @torch.no_grad()
    def _follow(self, flat: Tensor, k: Tensor, epoch: int) -> None:
        """Equations 6 and 7 on z [N, D] with codes k [N]; then the restarts and the statistics."""
        n = torch.bincount(k, minlength=self.codes)
        # The vectors of each code lie side by side and are summed in the order of the batch, so
        # that the sum is the same to the last bit each time, as an `index_add` on a GPU is not.
        sums = F.embedding_bag(k.argsort(stable=True), flat, n.cumsum(0) - n, mode="sum")  # [K, D]
        n = _over_processes(n)
        self.counts.lerp_(n.float(), 1 - self.decay)
        self.sums.lerp_(_over_processes(sums), 1 - self.decay)

        # Half the mean at most: where codes are many for the batch, a restart would be dead again.
        mean = self.counts.mean()
        dead = self.counts < (mean / 2).clamp(max=self.restart_below)
        if dead.any():
            self.sums.copy_(torch.where(dead[:, None], self._drawn(flat) * mean, self.sums))
            self.counts.masked_fill_(dead, mean)

        if epoch > self.epoch:
            self.last_epoch.copy_(self.this_epoch)
            self.this_epoch.zero_()
            self.epoch.fill_(epoch)
        self.this_epoch += n
