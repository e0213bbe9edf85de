"""The U-Net that predicts noise (or v, or x0) from a noisy image and its time.

The layout follows DDPM (Ho et al. 2020, arXiv:2006.11239, appendix B): residual blocks with
GroupNorm and SiLU, self-attention between the two middle blocks and at the configured levels, a
sinusoidal embedding of the time added in every block, and skip connections from the downsampling to
the upsampling half. The last convolution of every residual branch starts at zero, so each block is
the identity at first and the untrained network predicts zero.

A U-Net that reads texts has cross-attention after each self-attention (Rombach et al. 2022,
arXiv:2112.10752, section 3.3, equation 1: queries from the image, keys and values from the text).
The mean of a text's states is added to the embedding of the time; GLIDE adds the last state (Nichol
et al. 2021, arXiv:2112.10741, section 2.3).

An optional patch size folds `patch x patch` pixels into channels before the first convolution
(space to depth, as in DiT's patchify but keeping the grid). The network then works on a grid that
is `patch` times smaller on each side, which on a CPU saves almost `patch**2` of the time.

Features are stored with channels last, in which convolutions on a CPU are fastest, forward and
backward; the weights are not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.networks import UNetConfig
from genlab.nn.layers import attend, group_norm, silu, sinusoidal_embedding, upcast, zero


class Texts(NamedTuple):
    """Encoded texts that condition a network.

    Attributes:
        states: states of the tokens, [B, L, W].
        mask: bool [B, L], False at padding.
    """

    states: Tensor
    mask: Tensor

    def mean(self) -> Tensor:
        """Mean of the states that are not padding, [B, W]."""
        weights = self.mask[:, :, None].to(self.states.dtype)
        return (self.states * weights).sum(dim=1) / weights.sum(dim=1)


class ResidualBlock(nn.Module):
    """x [B, C_in, H, W], embedding [B, E] -> [B, C_out, H, W]."""

    def __init__(self, c_in: int, c_out: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.embed = nn.Linear(embedding, c_out)
        self.norm2 = group_norm(c_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        # On a CPU, adding bfloat16 to bfloat16 with broadcasting is eight times as slow as float32.
        h = h + upcast(self.embed(embedding))[:, :, None, None]
        h = self.conv2(self.dropout(silu(self.norm2(h))))
        out: Tensor = h + self.skip(x)
        return out


def heads_of(channels: int, head_channels: int) -> int:
    """Number of heads: the largest that divides `channels` into at least `head_channels` each."""
    most = max(1, channels // head_channels)
    return max(heads for heads in range(1, most + 1) if channels % heads == 0)


class Attention(nn.Module):
    """Multi-head self-attention over the H*W positions of x [B, C, H, W], added to x."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.heads = heads_of(channels, head_channels)
        self.norm = group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H*W, C]
        parts = self.qkv(tokens).unflatten(2, (3, self.heads, c // self.heads))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each [B, heads, H*W, C/heads]
        attended = attend(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = x + self.out(attended).transpose(1, 2).unflatten(2, (h, w))
        return out


class CrossAttention(nn.Module):
    """Multi-head attention of the positions of x [B, C, H, W] to tokens of texts, added to x."""

    def __init__(self, channels: int, context: int, head_channels: int) -> None:
        super().__init__()
        self.heads = heads_of(channels, head_channels)
        self.norm = group_norm(channels)
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(context, 2 * channels)
        self.out = zero(nn.Linear(channels, channels))

    def split(self, x: Tensor, texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, heads, H*W, C/heads], keys and values [B, heads, L, C/heads]."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H*W, C]
        parts = self.q(tokens), *self.kv(texts.states).chunk(2, dim=2)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        return q, k, v

    def weights(self, x: Tensor, texts: Texts) -> Tensor:
        """softmax(q k / sqrt(d)) over the tokens that are not padding, [B, heads, H*W, L]."""
        q, k, _ = self.split(x, texts)
        logits = upcast(q @ k.transpose(2, 3)) / math.sqrt(q.shape[3])
        return logits.masked_fill(~texts.mask[:, None, None], -torch.inf).softmax(dim=3)

    def forward(self, x: Tensor, texts: Texts) -> Tensor:
        q, k, v = self.split(x, texts)
        mask = texts.mask[:, None, None]  # [B, 1, 1, L]
        attended = attend(q, k, v, mask)
        added = self.out(attended.transpose(1, 2).flatten(2))  # [B, H*W, C]
        out: Tensor = x + added.transpose(1, 2).unflatten(2, x.shape[2:])
        return out


class Block(nn.Module):
    """A residual block, followed by attention if `attend`.

    Args:
        context: width of the states of texts for cross-attention; 0 for no texts.
    """

    def __init__(
        self, c_in: int, c_out: int, config: UNetConfig, attend: bool, context: int
    ) -> None:
        super().__init__()
        heads = config.head_channels
        self.residual = ResidualBlock(c_in, c_out, 4 * config.channels, config.dropout)
        self.attention = Attention(c_out, heads) if attend else nn.Identity()
        self.reading = CrossAttention(c_out, context, heads) if attend and context else None

    def forward(self, x: Tensor, embedding: Tensor, texts: Texts | None) -> Tensor:
        out: Tensor = self.attention(self.residual(x, embedding))
        return out if self.reading is None else self.reading(out, texts)


class Shrink(nn.Module):
    """Halve the side with a strided convolution: [B, C, H, W] -> [B, C, H/2, W/2]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, texts: Texts | None) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Grow(nn.Module):
    """Double the side, a convolution and nearest neighbour: [B, C, H, W] -> [B, C, 2H, 2W].

    In this order the convolution costs a quarter; the next block smooths the repeated pixels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, texts: Texts | None) -> Tensor:
        out: Tensor = F.interpolate(self.conv(x), scale_factor=2.0, mode="nearest")
        return out


class UNet(nn.Module):
    """x [B, C, H, W], t [B], labels int64 [B] or texts of B -> [B, M C, H, W].

    t is the conditioning value, see `GaussianPath.conditioning`. H and W must be divisible by
    `config.patch * 2 ** (len(config.multipliers) - 1)`.

    Args:
        classes: number of labels; the label `classes` stands for none. 0: no labels.
        outputs: M, output channels for each input channel.
        context: width of the states of texts; 0: no texts.
    """

    def __init__(
        self,
        image_channels: int,
        config: UNetConfig,
        classes: int = 0,
        outputs: int = 1,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        folded = image_channels * config.patch**2
        widths = [config.channels * m for m in config.multipliers]
        e = 4 * config.channels
        self.embed = nn.Sequential(nn.Linear(config.channels, e), nn.SiLU(), nn.Linear(e, e))
        self.embed_label = nn.Embedding(classes + 1, e) if classes else None
        self.embed_text = nn.Linear(context, e) if context else None
        self.first = nn.Conv2d(folded, widths[0], 3, padding=1)

        # Downsampling: the outputs of all blocks and halvings are kept for the skip connections.
        self.down = nn.ModuleList()
        skips, c = [widths[0]], widths[0]
        for level, width in enumerate(widths):
            if level > 0:
                self.down.append(Shrink(c))
                skips.append(c)
            for _ in range(config.blocks):
                self.down.append(Block(c, width, config, level in config.attention, context))
                c = width
                skips.append(c)

        self.middle = nn.ModuleList(
            Block(c, c, config, attend, context) for attend in (True, False)
        )

        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(
                    Block(c + skips.pop(), width, config, level in config.attention, context)
                )
                c = width
            if level > 0:
                self.up.append(Grow(c))
        self.norm = group_norm(c)
        self.last = zero(nn.Conv2d(c, outputs * folded, 3, padding=1))

    def forward(
        self, x: Tensor, t: Tensor, labels: Tensor | None = None, texts: Texts | None = None
    ) -> Tensor:
        embedding = self.embed(sinusoidal_embedding(t, self.config.channels))
        if self.embed_label is not None:
            embedding = embedding + self.embed_label(labels)
        if self.embed_text is not None and texts is not None:
            embedding = embedding + self.embed_text(texts.mean())
        embedding = F.silu(embedding)
        folded = F.pixel_unshuffle(x, self.config.patch)
        h = self.first(folded.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for module in self.down:
            h = module(h, embedding, texts)
            skips.append(h)
        for module in self.middle:
            h = module(h, embedding, texts)
        for module in self.up:
            if isinstance(module, Block):
                h = torch.cat([h, skips.pop()], dim=1)
            h = module(h, embedding, texts)
        out: Tensor = F.pixel_shuffle(self.last(silu(self.norm(h))), self.config.patch)
        return out
