"""Who says how well a picture fits a prompt: CLIP, which ranks, and the judge, which only looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model, Words
from genlab.models.batches import in_parts
from genlab.models.clip import CLIP
from genlab.models.judge import Judge
from genlab.results.layout import DataFolder, RunFolder
from genlab.results.origin import run_origin
from genlab.workflow.data import read_factors
from genlab.workflow.models import load_trained

BATCH = 500  # real images that are looked at at a time
RETRIEVED = 100  # distinct captions among which CLIP must find an image's own

M = TypeVar("M", bound=Model)


def counts_up_to(candidates: int) -> list[int]:
    """1, 2, 4, ... and `candidates` itself: the n of the curves."""
    return [*(2**k for k in range((candidates - 1).bit_length())), candidates]


def best_of(values: Tensor, scores: Tensor, counts: list[int]) -> list[float]:
    """The mean value of the candidate that scores best among n, for each n of `counts`.

    All subsets of n among the N candidates count alike: the one of rank r (0 is the best) is the
    best of C(N - 1 - r, n - 1) among them. n = 1 is the mean over all candidates.

    Args:
        values, scores: [P, N].
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = values.double().gather(1, order).mean(dim=0)  # [N]
    n_all, found = len(ranked), []
    for n in counts:
        chosen = [math.comb(n_all - 1 - rank, n - 1) for rank in range(n_all)]
        weights = torch.tensor([c / math.comb(n_all, n) for c in chosen], dtype=torch.float64)
        found.append(float(ranked.cpu() @ weights))
    return found


def shares(right: Tensor, names: list[str], subject: list[str]) -> dict[str, Any]:
    """Which are right: each factor, all of the subject, all, from bool [..., F].

    Returns:
        Tensors [...]; those of the factors by their names under 'factors'.
    """
    about = [names.index(name) for name in subject]
    return {
        "factors": dict(zip(names, right.unbind(dim=-1), strict=True)),
        "subject": right[..., about].all(dim=-1),
        "all": right.all(dim=-1),
    }


def each(values: dict[str, Any], measure: Callable[[Tensor], Any]) -> dict[str, Any]:
    """`measure` of every tensor in what `shares` returns."""
    return {
        name: each(value, measure) if isinstance(value, dict) else measure(value)
        for name, value in values.items()
    }


def loaded(run: RunFolder, kind: type[M], device: torch.device) -> M:
    """The trained model of a run that must be of a `kind`."""
    model = load_trained(run, device, run_origin(run))
    if not isinstance(model, kind):
        raise GenLabError(f"{run.folder}: holds a {type(model).__name__}, no {kind.__name__}")
    return model


def first_unjudged(data: DataFolder, split: str) -> int:
    """The first image of a split that the judge wasn't trained on (`models.batches.read_table`)."""
    return len(read_array(data.labels(split))) // 2 if split == "unseen" else 0


def check_words(model: Model, manifest: dict[str, Any], source: Path) -> None:
    """Refuse a model that was trained on the tokens of another tokenizer.

    Raises:
        GenLabError: it was.
    """
    if model.config.reads_captions and model.facts.words != Words(**manifest["text"]):
        raise GenLabError(
            f"{source}: the captions were prepared anew, in other tokens than a "
            f"{type(model).__name__} here was trained on; run its study again"
        )


class Panel:
    """CLIP and judge of a data set, and the names of the factors that its captions tell of."""

    def __init__(self, run: RunFolder, device: torch.device) -> None:
        self.data, self.device = run.data, device
        self.clip = loaded(run.study.clip(run.dataset), CLIP, device)
        self.judge = loaded(run.study.judge(run.dataset), Judge, device)
        manifest = read_json(run.data.manifest)
        for model in (self.clip, self.judge):
            check_words(model, manifest, run.data.manifest)
        known = list(self.judge.factors)
        self.names: list[str] = manifest.get("described") or known
        self.subject: list[str] = manifest.get("subject") or known
        self.columns = [known.index(name) for name in self.names]

    def right(self, images: Tensor, factors: Tensor) -> Tensor:
        """Which `factors` int64 [B, F] the judge sees in images on [0, 1], of `names` alone."""
        return (self.judge.predict(images) == factors)[:, self.columns]

    def judged(self, split: str) -> dict[str, Any]:
        """How often the judge is right on the real images of a split that it hasn't seen."""
        first = first_unjudged(self.data, split)
        images = read_array(self.data.images(split))[first:]
        factors = read_factors(self.data, split)[first:]
        wanted = torch.split(torch.from_numpy(np.array(factors)).to(self.device), BATCH)
        parts = zip(in_parts(images, self.device, BATCH), wanted, strict=True)
        right = [self.right(*part) for part in parts]
        found = shares(torch.cat(right).double(), self.names, self.subject)
        return {"images": len(images), **each(found, lambda share: float(share.double().mean()))}

    def retrieval(self) -> dict[str, float]:
        """How often CLIP finds an image's caption among distinct ones, of held-out images.

        The captions are those that come first; asked are all images that carry one of them.
        """
        first = np.array(read_array(self.data.captions("test"))[:, 0])
        _, begins = np.unique(first, return_index=True)
        texts = first[np.sort(begins)[:RETRIEVED]]  # numbers of texts, in order of appearance
        which = np.flatnonzero(np.isin(first, texts))[: 10 * RETRIEVED]
        tokens = torch.from_numpy(np.array(read_array(self.data.tokens)[texts])).to(self.device)
        sentences = self.clip.embed_texts(tokens)
        chosen = read_array(self.data.images("test"))[which]
        found = [
            (self.clip.embed_images(part) @ sentences.T).argmax(dim=1).cpu().numpy()
            for part in in_parts(chosen, self.device, BATCH)
        ]
        share = float((texts[np.concatenate(found)] == first[which]).mean())
        return {"retrieval": share, "captions": len(texts), "images": len(which)}
