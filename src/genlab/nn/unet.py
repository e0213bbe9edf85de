"""The U-Net that predicts noise (or v, or x0) from a noisy image and its noise level.

The layout follows DDPM (Ho et al. 2020, arXiv:2006.11239, appendix B): residual blocks with
GroupNorm and SiLU, self-attention between the two blocks in the middle and at the levels that
ask for it, a sinusoidal embedding of the noise level added in every block, and skip connections
from the way down to the way up. The last convolution of every residual branch starts at zero, so
that each block is the identity at first and the untrained network predicts zero.

A U-Net that reads texts has cross-attention after each self-attention (Rombach et al. 2022,
arXiv:2112.10752, section 3.3, equation 1: queries from the image, keys and values from the text),
and the mean of a text's states is added to the embedding of the noise level, as GLIDE does with a
state of its text (Nichol et al. 2021, arXiv:2112.10741, section 2.3, there the last one).

An optional patch size folds `patch x patch` pixels into channels before the first convolution
(space to depth, as in DiT's patchify but without losing the grid). The network then works on a
grid `patch` times smaller on each side, which on a CPU saves almost `patch**2` of the time.

Within, features lie in memory with channels last, which convolutions on a CPU are fastest in,
forward and backward; the weights need not.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.networks import UNetConfig
from genlab.nn.attention import attend

Affine = TypeVar("Affine", nn.Conv2d, nn.Linear)


def sinusoidal_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Embed noise levels `t` [B], on the scale 0..1000, as cosines and sines [B, dim].

    Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, with `dim` even. Computed in float64: the
    last bit of a float32 cosine depends on where in its batch it stands.
    """
    half = dim // 2
    places = torch.arange(half, dtype=torch.float64, device=t.device)
    frequency = torch.exp(-math.log(max_period) * places / half)
    angle = t.double()[:, None] * frequency[None, :]  # [B, half]
    return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def widened(x: Tensor) -> Tensor:
    """bfloat16 as float32; any other numbers as they are."""
    return x.float() if x.dtype == torch.bfloat16 else x


class GroupNorm(nn.GroupNorm):
    """GroupNorm in float32 where what is around it is bfloat16, as autocast has it on a GPU.

    On a CPU bfloat16 would take it twice to five times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(widened(x))


def group_norm(channels: int) -> GroupNorm:
    """GroupNorm with groups of at least eight channels, and at most 32 groups.

    Eight float32 fill a vector register; with channels last, groups of four take three times as
    long.
    """
    groups = max(g for g in range(1, min(32, max(channels // 8, 1)) + 1) if channels % g == 0)
    return GroupNorm(groups, channels)


def silu(h: Tensor) -> Tensor:
    """x sigmoid(x), in the memory of `h` itself where no gradient will ask what was there."""
    return F.silu(h, inplace=not torch.is_grad_enabled())


def zero(module: Affine) -> Affine:
    """Set the weights of `module` to zero, so that the branch it ends contributes nothing yet."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class Texts(NamedTuple):
    """Encoded texts that a network is told of.

    Attributes:
        states: of their tokens, [B, L, W].
        said: bool [B, L], which of the tokens say anything.
    """

    states: Tensor
    said: Tensor

    def mean(self) -> Tensor:
        """Of the states that say anything, [B, W]."""
        said = self.said[:, :, None].to(self.states.dtype)
        return (self.states * said).sum(dim=1) / said.sum(dim=1)


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
        # To all places of bfloat16 a processor adds bfloat16 eight times as slowly as float32.
        h = h + widened(self.embed(embedding))[:, :, None, None]
        h = self.conv2(self.dropout(silu(self.norm2(h))))
        out: Tensor = h + self.skip(x)
        return out


def heads_of(channels: int, head_channels: int) -> int:
    """Into how many heads of at least `head_channels` the channels divide evenly."""
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
        """softmax(q k / sqrt(d)) over the tokens that are said, [B, heads, H*W, L]."""
        q, k, _ = self.split(x, texts)
        logits = widened(q @ k.transpose(2, 3)) / math.sqrt(q.shape[3])
        return logits.masked_fill(~texts.said[:, None, None], -torch.inf).softmax(dim=3)

    def forward(self, x: Tensor, texts: Texts) -> Tensor:
        q, k, v = self.split(x, texts)
        mask = texts.said[:, None, None]  # [B, 1, 1, L]
        attended = attend(q, k, v, seen=mask)
        added = self.out(attended.transpose(1, 2).flatten(2))  # [B, H*W, C]
        out: Tensor = x + added.transpose(1, 2).unflatten(2, x.shape[2:])
        return out


class Block(nn.Module):
    """A residual block and, where `attend` says so, attention after it.

    Args:
        context: width of the states of the texts that it attends to as well; 0: to none.
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

    In this order the convolution costs a quarter; the next block smooths what it repeats.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor, texts: Texts | None) -> Tensor:
        out: Tensor = F.interpolate(self.conv(x), scale_factor=2.0, mode="nearest")
        return out


class UNet(nn.Module):
    """x [B, C, H, W], t [B] on 0..1000, labels int64 [B] or texts of B -> [B, M C, H, W].

    H and W must be divisible by `config.patch * 2 ** (len(config.multipliers) - 1)`.

    Args:
        classes: how many labels there are; the label `classes` stands for none. 0: it takes none.
        multiple: M, numbers said of each pixel and channel.
        context: width of the states of texts that it reads; 0: it reads none.
    """

    def __init__(
        self,
        image_channels: int,
        config: UNetConfig,
        classes: int = 0,
        multiple: int = 1,
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

        # The way down: every block's output is kept for the way up, and so is every halving.
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
        self.last = zero(nn.Conv2d(c, multiple * folded, 3, padding=1))

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
