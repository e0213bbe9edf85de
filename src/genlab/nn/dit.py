"""The diffusion transformer (Peebles & Xie 2023, arXiv:2212.09748), with adaLN-zero.

The image is cut into patches of `patch x patch` pixels, each a token. A linear layer computes
scales, shifts and gates for every block from the embedding of time and class ("adaLN", section
3.2). That layer starts at zero, so each block is the identity at first and the untrained network
predicts zero.

`convolution` adds a convolution over neighbouring tokens to the feed-forward layers, as in
SegFormer (Xie et al. 2021, arXiv:2105.15203, equation 3). A transformer has to learn from its
positions which tokens are neighbours. That takes long: in minutes of training on a CPU, its patches
do not learn to fit together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.networks import DiTConfig
from genlab.nn.layers import attend, sinusoidal_embedding, zero


def grid_positions(height: int, width: int, channels: int) -> Tensor:
    """Position embeddings: sines and cosines of the row in one half, of the column in the other.

    float32 [height * width, channels], `channels` divisible by 4.
    """
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    halves = [sinusoidal_embedding(place.flatten(), channels // 2) for place in (rows, columns)]
    return torch.cat(halves, dim=1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x (1 + scale) + shift, for x [B, T, D] and scale and shift [B, D]."""
    return x * (1 + scale[:, None]) + shift[:, None]


class Neighbours(nn.Module):
    """A depthwise 3 x 3 convolution on tokens [B, T, D] of a grid."""

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor) -> Tensor:
        features = tokens.transpose(1, 2).reshape(len(tokens), -1, *self.grid)  # [B, D, H/p, W/p]
        out: Tensor = self.convolution(features).flatten(2).transpose(1, 2)
        return out


class DiTBlock(nn.Module):
    """Attention and a feed-forward layer on tokens [B, T, D], modulated by an embedding [B, D].

    Args:
        grid: (H/p, W/p), rows and columns of the T tokens.
    """

    def __init__(self, config: DiTConfig, grid: tuple[int, int]) -> None:
        super().__init__()
        width, hidden = config.width, int(config.mlp * config.width)
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden),
            *([Neighbours(hidden, grid)] if config.convolution else []),
            nn.GELU(approximate="tanh"),
            nn.Linear(hidden, width),
        )
        self.modulation = zero(nn.Linear(width, 6 * width))

    def attend(self, x: Tensor) -> Tensor:
        """Self-attention over tokens [B, T, D]."""
        b, n, d = x.shape
        parts = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = attend(*parts)  # [B, heads, T, D / heads]
        out: Tensor = self.out(attended.transpose(1, 2).reshape(b, n, d))
        return out

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(embedding).chunk(6, dim=1)
        x = x + gate1[:, None] * self.attend(modulate(self.norm1(x), shift1, scale1))
        out: Tensor = x + gate2[:, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))
        return out


class DiT(nn.Module):
    """x [B, C, H, W], t [B], labels int64 [B] -> [B, M C, H, W].

    t is the conditioning value, see `GaussianPath.conditioning`. H and W must be divisible by
    `config.patch`.

    Args:
        shape: (C, H, W) of the images.
        classes: number of labels; the label `classes` stands for none. 0: no labels.
        outputs: M, output channels for each input channel.
    """

    positions: Tensor  # [T, D]

    def __init__(
        self, shape: tuple[int, int, int], config: DiTConfig, classes: int = 0, outputs: int = 1
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.patch = config.patch
        self.grid = (height // config.patch, width // config.patch)
        folded, d = channels * config.patch**2, config.width
        self.first = nn.Linear(folded, d)
        self.register_buffer("positions", grid_positions(*self.grid, d), persistent=False)
        self.embed = nn.Sequential(nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.embed_label = nn.Embedding(classes + 1, d) if classes else None
        self.blocks = nn.ModuleList(DiTBlock(config, self.grid) for _ in range(config.depth))
        self.norm = nn.LayerNorm(d, elementwise_affine=False, eps=1e-6)
        self.modulation = zero(nn.Linear(d, 2 * d))
        self.last = zero(nn.Linear(d, outputs * folded))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        embedding = self.embed(sinusoidal_embedding(t, self.positions.shape[1]))
        if self.embed_label is not None:
            embedding = embedding + self.embed_label(labels)
        embedding = F.silu(embedding)  # [B, D]
        patches = F.pixel_unshuffle(x, self.patch).flatten(2).transpose(1, 2)  # [B, T, C p^2]
        tokens = self.first(patches) + self.positions
        for block in self.blocks:
            tokens = block(tokens, embedding)
        tokens = self.last(modulate(self.norm(tokens), *self.modulation(embedding).chunk(2, dim=1)))
        grid = tokens.transpose(1, 2).unflatten(2, self.grid)  # [B, M C p^2, H/p, W/p]
        return F.pixel_shuffle(grid, self.patch)
