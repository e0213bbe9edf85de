"""The evaluators of prompts: CLIP, which ranks candidates, and a judge, which checks factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.evaluation.prompt_measures import by_factor, map_nested
from genlab.models.batches import in_parts
from genlab.models.clip import CLIP
from genlab.models.judge import Judge

BATCH = 500  # real images at a time
RETRIEVAL_CAPTIONS = 100  # distinct captions among which CLIP must find an image's own
RETRIEVAL_IMAGES = 1000


def first_evaluation_image(count: int, split: str) -> int:
    """The first of a split's `count` images that the judge was not trained on.

    Its training includes the first half of the split 'unseen' (`models.batches.read_table`).
    """
    return count // 2 if split == "unseen" else 0


@dataclass(frozen=True)
class PromptEvaluators:
    """CLIP and judge of a data set.

    Attributes:
        names: the factors that captions describe; the judge knows all of them.
        subject: those of them that make up the subject.
        device: the device of both models.
    """

    clip: CLIP
    judge: Judge
    names: list[str]
    subject: list[str]
    device: torch.device

    def correct(self, images: Tensor, factors: Tensor) -> Tensor:
        """Check which factors the judge recognises, bool [B, len(names)].

        Args:
            images: [B, C, H, W] on [0, 1].
            factors: int64 [B, F], the values of all factors of the judge.
        """
        columns = [list(self.judge.factors).index(name) for name in self.names]
        return (self.judge.predict(images) == factors)[:, columns]

    @torch.no_grad()
    def judge_accuracy(
        self, images: NDArray[np.uint8], factors: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Measure the judge's accuracy on real images [N, C, H, W] with factors [N, F]."""
        targets = torch.split(torch.from_numpy(np.array(factors)).to(self.device), BATCH)
        parts = zip(in_parts(images, self.device, BATCH), targets, strict=True)
        correct = torch.cat([self.correct(*part) for part in parts])
        accuracy = map_nested(
            lambda part: float(part.double().mean()),
            by_factor(correct, self.names, self.subject),
        )
        return {"images": len(images), **accuracy}

    @torch.no_grad()
    def retrieval(
        self,
        images: NDArray[np.uint8],
        captions: NDArray[np.int64],
        tokens: NDArray[np.int64],
    ) -> dict[str, float]:
        """Measure how often CLIP finds an image's caption among distinct captions.

        The captions are the first RETRIEVAL_CAPTIONS different ones; the images are the first ones
        that have one of these captions.

        Args:
            images: [N, C, H, W].
            captions: int64 [N], the number of each image's text.
            tokens: int64 [T, L], the tokens of all texts.
        """
        _, first_uses = np.unique(captions, return_index=True)
        texts = captions[np.sort(first_uses)[:RETRIEVAL_CAPTIONS]]
        indices = np.flatnonzero(np.isin(captions, texts))[:RETRIEVAL_IMAGES]
        rows = torch.from_numpy(np.array(tokens[texts])).to(self.device)
        sentences = self.clip.embed_texts(rows)
        best = [
            (self.clip.embed_images(part) @ sentences.T).argmax(dim=1).cpu().numpy()
            for part in in_parts(images[indices], self.device, BATCH)
        ]
        share = float((texts[np.concatenate(best)] == captions[indices]).mean())
        return {"retrieval": share, "captions": len(texts), "images": len(indices)}
