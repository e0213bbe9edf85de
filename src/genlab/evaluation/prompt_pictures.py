"""Pictures of what was drawn for prompts, and of where a model looked for each word."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.samplers import SamplerConfig, SteppedSampler
from genlab.data.pictures import save_rows
from genlab.data.tokenizer import END, Tokenizer
from genlab.evaluation.panel import Panel, shares
from genlab.io.arrays import write_array
from genlab.models.base import Model
from genlab.models.batches import to_uint8
from genlab.models.gaussian import GaussianModel
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.spec import PromptsSpec
from genlab.sampling.attention import attention_maps

COLUMNS = 8  # candidates of a prompt that are shown, before the one that is kept
WATCHED = 6  # samples whose attention is shown


class Prompts(NamedTuple):
    """What is asked for: texts, tokens int64 [P, L], and the factors to be seen, int64 [P, F]."""

    texts: list[str]
    tokens: Tensor
    factors: Tensor


class Drawn(NamedTuple):
    """The candidates of every prompt at one guidance scale.

    Attributes:
        scores: [P, N], the cosine of each candidate with its prompt, by CLIP.
        right: bool [P, N, F], which factors the judge sees as they were asked for.
        pictures: uint8 [S, N, C, H, W], of the first S prompts.
    """

    scores: Tensor
    right: Tensor
    pictures: Tensor


def save_candidates(
    run: RunFolder, asked: dict[str, Prompts], drawn: dict[str, Drawn], panel: Panel
) -> list[dict[str, Any]]:
    """A sheet of candidates, and the kept pictures for the report; returns what they show."""
    shown: list[dict[str, Any]] = []
    kept: list[NDArray[np.uint8]] = []
    rows: dict[str, NDArray[np.uint8]] = {}
    for kind, found in drawn.items():
        best = found.scores.argmax(dim=1).tolist()
        right = shares(found.right, panel.names, panel.subject)["subject"]
        for i, pictures in enumerate(found.pictures.cpu().numpy()):
            text = asked[kind].texts[i]
            shown.append({"kind": kind, "prompt": text, "right": bool(right[i, best[i]])})
            kept.append(pictures[best[i]])
            name = textwrap.fill(f"{len(rows) + 1}. {kind}: {text}", 36)
            gap = np.full_like(pictures[:1], 255)
            rows[name] = np.concatenate([pictures[:COLUMNS], gap, kept[-1][None]])
    write_array(run.kept, np.stack(kept))
    save_rows(run.prompt_figures / "candidates.png", rows)
    return shown


def save_attention(
    run: RunFolder,
    model: Model,
    sampler: SamplerConfig,
    asked: dict[str, Prompts],
    spec: PromptsSpec,
) -> dict[str, str]:
    """Where a latent diffusion model looked for each word of the first prompt of each kind.

    A sheet for each: the first candidates, and below them a line for each token, brighter where
    that token had more of the attention. Other models, which have no such maps, get none.

    Returns:
        The prompts by their kinds.
    """
    if not (isinstance(model, GaussianModel) and isinstance(sampler, SteppedSampler)):
        return {}
    if sampler.guidance == 0:  # nobody looks at words that aren't asked for
        return {}
    count = min(WATCHED, spec.candidates)
    tokenizer = Tokenizer.load(run.data.tokenizer)
    for kind, (_, tokens, _) in asked.items():
        noise = SampleNoise(spec.seed, range(count), tokens.device)
        drawing, maps = attention_maps(model, sampler, noise, tokens[:1].expand(count, -1))
        large = F.interpolate(maps, model.shape[1:], mode="nearest")  # [B, L, H, W]
        rows = {"drawn": to_uint8(drawing.images).cpu().numpy()}
        end = tokens[0].tolist().index(END)
        for i, token in enumerate(tokens[0, :end].tolist()):
            grey = (large[:, i] / large[:, i].max())[:, None].expand(-1, model.shape[0], -1, -1)
            rows[f"{i + 1}. {tokenizer.decode([token])}"] = to_uint8(grey).cpu().numpy()
        save_rows(run.prompt_figures / f"attention-{kind}.png", rows)
    return {kind: of_kind.texts[0] for kind, of_kind in asked.items()}
