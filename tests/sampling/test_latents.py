"""Figures of latent spaces: their geometry in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SIDE, stripes
from torch import Tensor

from genlab.data.arrays import Split
from genlab.models.latents import activity, decode, encode
from genlab.sampling.latents import (
    ATTRIBUTE_STRENGTHS,
    MAX_TRAVERSED,
    LatentSpace,
    add_attributes,
    attribute_vectors,
    slerp,
    traverse,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Scaled:
    """A model with a latent for each pixel of a square: z = 8 (pixel - 1/2)."""

    def to_latent(self, images: Tensor) -> Tensor:
        return 8 * (images.flatten(1) - 0.5)

    def from_latent(self, z: Tensor) -> Tensor:
        side = math.isqrt(z.shape[1])
        return (z / 8 + 0.5).reshape(-1, 1, side, side)


def test_a_traversal_moves_one_latent_and_no_other() -> None:
    """In a model whose latents are pixels, that pixel runs through the values."""
    values = torch.tensor([-4.0, 0.0, 4.0])
    z = torch.tensor([0.0, 4.0, -4.0, 2.0])
    traversals = traverse(z, torch.tensor([3, 0]), values)
    images = decode(Scaled(), traversals, "cpu", batch_size=4)  # 6 images: a batch may end in a row
    assert images.shape == (2, 3, 1, 2, 2)
    still = [128, 255, 0, 191]
    assert images.reshape(2, 3, 4).tolist() == [
        [[*still[:3], end] for end in (0, 128, 255)],
        [[end, *still[1:]] for end in (0, 128, 255)],
    ]
    assert torch.equal(z, torch.tensor([0.0, 4.0, -4.0, 2.0]))


def test_encoding_goes_batch_by_batch_over_all_images() -> None:
    pixels = np.arange(7 * 4, dtype=np.uint8).reshape(7, 1, 2, 2)
    latents = encode(Scaled(), pixels, "cpu", batch_size=3)
    expected = 8 * (torch.arange(28).reshape(7, 4) / 255 - 0.5)
    torch.testing.assert_close(latents, expected)
    # The variance of 0, 4, ... 24 is 64, in every pixel.
    torch.testing.assert_close(activity(latents), torch.full((4,), 64.0) * (8 / 255) ** 2)


@given(
    seed=st.integers(0, 1000),
    dimensions=st.integers(2, 300),
    t=st.floats(0, 1),
    lengths=st.tuples(st.floats(0.1, 30), st.floats(0.1, 30)),
)
@settings(max_examples=25)
def test_slerp_turns_evenly_and_stretches_evenly(
    seed: int, dimensions: int, t: float, lengths: tuple[float, float]
) -> None:
    """Angles from both ends are t and 1 - t of the whole; the length goes evenly as well."""
    ends = random(2, dimensions, seed=seed)
    ends = (
        ends / ends.norm(dim=1, keepdim=True) * torch.tensor(lengths, dtype=torch.float64)[:, None]
    )
    a, b = ends.split(1)
    (z,) = slerp(a, b, torch.tensor([t], dtype=torch.float64))[0]

    def angle(p: Tensor, q: Tensor) -> float:
        cosine = torch.nn.functional.cosine_similarity(p.flatten(), q.flatten(), dim=0)
        return math.acos(max(-1.0, min(1.0, float(cosine))))

    # An arc cosine loses half of float64's digits near 0 and pi.
    assert angle(a, z) == pytest.approx(t * angle(a, b), abs=1e-6)
    assert angle(z, b) == pytest.approx((1 - t) * angle(a, b), abs=1e-6)
    assert float(z.norm()) == pytest.approx((1 - t) * lengths[0] + t * lengths[1], rel=1e-9)


def test_slerp_of_a_right_angle_is_a_circle() -> None:
    a, b = 2 * torch.eye(3, dtype=torch.float64)[[0]], 2 * torch.eye(3, dtype=torch.float64)[[2]]
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    circle = torch.stack([(t * math.pi / 2).cos(), 0 * t, (t * math.pi / 2).sin()], dim=1)
    torch.testing.assert_close(slerp(a, b, t)[0], 2 * circle)


@pytest.mark.parametrize("scale", [1.0, 3.0, -1.0])
def test_slerp_of_what_spans_no_circle_is_a_line(scale: float) -> None:
    """Of the same direction, and of the opposite one, to which all circles lead."""
    a = random(2, 5)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    between = slerp(a, scale * a, t)
    torch.testing.assert_close(between[:, 0], a)
    torch.testing.assert_close(between[:, -1], scale * a)
    torch.testing.assert_close(between[:, 2], (1 + scale) / 2 * a)


def test_slerp_to_the_origin_is_finite_and_ends_there() -> None:
    a = random(2, 5)
    between = slerp(a, torch.zeros_like(a), torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(between[:, 0], a)
    assert torch.equal(between[:, -1], torch.zeros_like(a))
    assert between.isfinite().all()


def test_attribute_vectors_lead_from_the_mean_of_all_to_that_of_the_class() -> None:
    latents, labels = random(30, 4), torch.arange(30) % 3
    vectors = attribute_vectors(latents, labels, torch.tensor([2, 0]))
    torch.testing.assert_close(latents.mean(dim=0) + vectors[0], latents[2::3].mean(dim=0))
    torch.testing.assert_close(latents.mean(dim=0) + vectors[1], latents[0::3].mean(dim=0))
    # Classes of one size: all vectors together cancel.
    every = attribute_vectors(latents, labels, torch.arange(3))
    torch.testing.assert_close(every.sum(dim=0), torch.zeros(4, dtype=torch.float64))
    z = random(2, 4, seed=1)
    moved = add_attributes(z, vectors, torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(moved[:, 0], z - 2 * vectors)
    assert torch.equal(moved[:, 1], z)
    torch.testing.assert_close(moved[:, 2], z + vectors)


def enlarged_stripes(n: int, seed: int, classes: int, zoom: int) -> Split:
    images, labels = stripes(n, seed)
    return Split(images[:, None].repeat(zoom, axis=2).repeat(zoom, axis=3), labels % classes)


def pixel_space(names: list[str], zoom: int = 1) -> tuple[LatentSpace, Split, Split]:
    """A space whose latents are pixels, with its training and held-out images."""
    train = enlarged_stripes(96, 0, len(names), zoom)
    held_out = enlarged_stripes(64, 1, len(names), zoom)
    space = LatentSpace.encode(Scaled(), train, held_out, names, torch.device("cpu"))
    return space, train, held_out


def test_an_attribute_is_added_to_an_image_of_another_class() -> None:
    """With pixels as latents, the vector is the mean image of the class minus that of all."""
    space, train, held_out = pixel_space(["down", "across"])
    facts, rows, film = space.attributes()
    assert film is None
    assert [row["attribute"] for row in facts["rows"]] == ["down", "across"]
    assert [row["held_out"]["class"] for row in facts["rows"]] == ["across", "down"]
    assert facts["strengths"] == ATTRIBUTE_STRENGTHS.tolist()
    pixels = train.images / 255
    for label, (images, row) in enumerate(zip(rows, facts["rows"], strict=True)):
        vector = pixels[train.labels == label].mean(axis=0) - pixels.mean(axis=0)
        assert row["length"] == pytest.approx(8 * np.linalg.norm(vector), rel=1e-5)  # float32
        image = held_out.images[row["held_out"]["image"]] / 255
        moved = [(image + s * vector).clip(0, 1) for s in facts["strengths"]]
        assert np.abs(images - 255 * np.array(moved)).max() <= 1  # rounding


def test_only_figures_that_suit_the_space_are_made() -> None:
    """No attributes with one class, no traversals of more latents than MAX_TRAVERSED."""
    classes = ["down", "across"]
    assert SIDE**2 == MAX_TRAVERSED
    assert [*pixel_space(classes)[0].figures()] == ["traversals", "interpolation", "attributes"]
    assert [*pixel_space(["stripes"])[0].figures()] == ["traversals", "interpolation"]
    assert [*pixel_space(classes, zoom=2)[0].figures()] == ["interpolation", "attributes"]
