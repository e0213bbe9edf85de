"""CLIP: its loss against sums written out, what equal captions share, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genlab.config.families import build_family
from genlab.config.families.clip import CLIPConfig
from genlab.data.tokenizer import END, PAD
from genlab.errors import ConfigError
from genlab.models.base import Batch, Words
from genlab.models.clip import CLIP

SHAPE = (3, 8, 8)
WORDS = Words(vocabulary=12, length=5)
CONFIG = CLIPConfig(embedding=6, channels=4, features=8, width=8, layers=1, heads=2)


def sentences(*texts: list[int]) -> Tensor:
    """Each text, its END, and PAD up to the length of the context."""
    rows = [[*text, END] + [PAD] * (WORDS.length - len(text) - 1) for text in texts]
    return torch.tensor(rows)


def make(config: CLIPConfig = CONFIG) -> CLIP:
    """An untrained CLIP whose text encoder isn't the identity, as at first all its blocks are."""
    torch.manual_seed(1)
    clip = CLIP(config, SHAPE, 2, words=WORDS).eval()
    with torch.no_grad():
        for weight in clip.text_encoder.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return clip


def batch_of(tokens: Tensor) -> Batch:
    images = torch.rand(len(tokens), *SHAPE)
    return Batch(images, torch.zeros(len(tokens), dtype=torch.long), tokens=tokens)


def by_hand(clip: CLIP, batch: Batch) -> tuple[float, float]:
    """Loss and accuracy of figure 3, in loops, with what equal captions share."""
    assert batch.tokens is not None
    images = clip.embed_images(batch.images).double().numpy()
    texts = clip.embed_texts(batch.tokens).double().numpy()
    scale = 1 / 0.07  # as it begins
    captions = [tuple(row) for row in batch.tokens.tolist()]
    n, loss, right = len(captions), 0.0, 0
    for i in range(n):
        likes = [j for j in range(n) if captions[j] == captions[i]]
        for rows, columns in ((images, texts), (texts, images)):
            p = np.exp(scale * columns @ rows[i])
            loss -= sum(math.log(p[j] / p.sum()) for j in likes) / len(likes) / (2 * n)
        right += captions[int(np.argmax(texts @ images[i]))] == captions[i]
    return loss, right / n


@torch.no_grad()
@pytest.mark.parametrize(
    "texts",
    [[[2], [3], [4, 5], [6]], [[2], [3], [2], [2], [3], [7, 8, 9]], [[2]], [[5], [5]]],
    ids=["all different", "some alike", "one", "all alike"],
)
def test_the_loss_is_that_of_the_paper_with_equal_captions_equally_right(
    texts: list[list[int]],
) -> None:
    clip, batch = make(), batch_of(sentences(*texts))
    values = clip.loss(batch)
    loss, accuracy = by_hand(clip, batch)
    assert float(values["loss"]) == pytest.approx(loss, rel=1e-4)  # float32, logits up to 14
    assert float(values["accuracy"]) == pytest.approx(accuracy)


@torch.no_grad()
def test_a_batch_of_one_caption_can_do_no_better_than_chance_and_is_all_right() -> None:
    """Whose caption it is nobody can tell: the least loss is the logarithm of the batch."""
    clip, batch = make(), batch_of(sentences(*[[3, 4]] * 8))
    values = clip.loss(batch)
    assert float(values["accuracy"]) == 1
    assert float(values["loss"]) >= math.log(8) - 1e-5
    clip.image_projection.weight.copy_(torch.ones(6, 8))  # every image at one of two points
    clip.image_encoder[-2].bias.fill_(100.0)  # and all of them at the same
    assert float(clip.loss(batch)["loss"]) == pytest.approx(math.log(8), abs=1e-5)


@torch.no_grad()
def test_embeddings_are_unit_vectors_and_scores_their_cosines() -> None:
    clip, batch = make(), batch_of(sentences([2], [3, 4], [5]))
    images, texts = clip.embed_images(batch.images), clip.embed_texts(batch.tokens)
    assert images.shape == texts.shape == (3, 6)
    for result in (images, texts):
        torch.testing.assert_close(result.norm(dim=1), torch.ones(3))
    expected = torch.cosine_similarity(images, texts)
    torch.testing.assert_close(clip.score(batch.images, batch.tokens), expected)


@torch.no_grad()
def test_a_text_is_read_at_its_end() -> None:
    """The same text in a longer row means the same; another one means something else."""
    clip = make()
    short = torch.tensor([[2, 3, END]])
    torch.testing.assert_close(clip.embed_texts(short), clip.embed_texts(sentences([2, 3])))
    assert float((clip.embed_texts(short) - clip.embed_texts(sentences([3, 2]))).norm()) > 1e-3


def test_the_temperature_starts_at_seven_hundredths_and_stops_at_one_hundredth() -> None:
    clip, batch = make().train(), batch_of(sentences([2], [3]))
    assert float(clip.loss(batch)["temperature"]) == pytest.approx(0.07)
    with torch.no_grad():
        clip.log_scale.fill_(7.0)
    values = clip.loss(batch)
    assert float(values["temperature"]) == pytest.approx(0.01)
    values["loss"].backward()
    assert clip.log_scale.grad is not None
    assert float(clip.log_scale.grad) != 0  # it can come back


def test_it_learns_which_of_sixteen_pictures_is_meant() -> None:
    clip = CLIP(CONFIG.model_copy(update={"channels": 8}), SHAPE, 2, words=WORDS)
    texts = [[a, b] for a in range(2, 6) for b in range(6, 10)]
    batch = batch_of(sentences(*texts))
    optimizer = torch.optim.Adam(clip.parameters(), lr=2e-3)
    for _ in range(150):
        optimizer.zero_grad()
        clip(batch)["loss"].backward()
        optimizer.step()
    clip.eval()
    with torch.no_grad():
        values = clip.loss(batch)
    assert float(values["accuracy"]) == 1
    assert float(values["loss"]) < 0.3  # of log 16 = 2.8 nats


def test_heads_must_share_the_width() -> None:
    with pytest.raises(ConfigError, match="heads: 3 must divide width 64"):
        build_family({"family": "clip", "heads": 3}, "here")
