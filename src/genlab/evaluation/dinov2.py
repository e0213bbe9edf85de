"""DINOv2's vision transformer (Oquab et al. 2023, arXiv:2304.07193), with its own weights.

torch-fidelity runs code that it downloads, and takes no local file. The network is small enough to
be written here; parameters have the names that they have in the published files.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from genlab.config.evaluators import extractor
from genlab.evaluation.pretrained import PretrainedExtractor, fetched
from genlab.nn.layers import attend

URL = "https://dl.fbaipublicfiles.com/dinov2/{name}/{name}_pretrain.pth"
SIDE, PATCH, GRID = 224, 14, 37  # of the images; of a patch; patches to a side in pretraining
DEPTH = {384: 12, 768: 12, 1024: 24}
"""Number of blocks by width."""
HEAD = 64
"""Width of an attention head."""
OFFSET = 0.1
"""Added to the number of patches to a side before positions are interpolated, as published."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels


class DINOv2(PretrainedExtractor):
    """The class token after the last layer."""

    def load(self, weights: str | None) -> nn.Module:
        size = self.name.split("-")[2]  # dinov2-vit-s-14
        published = f"dinov2_vit{size}{PATCH}"
        path = weights or fetched(URL.format(name=published), f"{published}_pretrain.pth")
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        width = extractor(self.name).dimensions(None)
        with torch.device("meta"):  # the weights are those of the file
            network = VisionTransformer(width, DEPTH[width])
        network.load_state_dict(tensors, assign=True)
        return network.float()


class Attention(nn.Module):
    """Self-attention of tokens [B, T, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, w = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, w // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        out: Tensor = self.proj(attend(q, k, v).transpose(1, 2).reshape(b, t, w))
        return out


class Scale(nn.Module):
    """A factor gamma for each channel (LayerScale, Touvron et al. 2021, arXiv:2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """x + ls1(attn(norm1(x))), then x + ls2(mlp(norm2(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = _norm(width), Attention(width), Scale(width)
        self.norm2, self.mlp, self.ls2 = _norm(width), FeedForward(width), Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


class Patches(nn.Module):
    """Images [B, 3, H, W] -> a token for each patch, [B, T, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """uint8 [B, 3, H, W] -> the class token [B, width], in a tuple as torch-fidelity returns it."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # in the files; of pretraining only
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID**2, width))
        self.patch_embed = Patches(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = _norm(width)

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        x = self.patch_embed(_normalised(pixels))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.positions(math.isqrt(x.shape[1] - 1))
        for block in self.blocks:
            x = block(x)
        return (self.norm(x)[:, 0],)

    def positions(self, side: int) -> Tensor:
        """The position embeddings [1, 1 + side^2, width], interpolated from those of GRID^2."""
        if side == GRID:
            return self.pos_embed
        own, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = grid.transpose(1, 2).reshape(1, -1, GRID, GRID)
        grid = F.interpolate(grid, scale_factor=(side + OFFSET) / GRID, mode="bicubic")
        return torch.cat([own, grid.flatten(2).transpose(1, 2)], dim=1)


def _normalised(pixels: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> [B, 3, SIDE, SIDE] as DINOv2 takes them, enlarged bilinearly."""
    images: Tensor = interpolate_bilinear_2d_like_tensorflow1x(
        pixels.float(), size=(SIDE, SIDE), align_corners=False
    )
    mean, std = (torch.tensor(c, device=pixels.device)[:, None, None] for c in (MEAN, STD))
    return (images / 255 - mean) / std
