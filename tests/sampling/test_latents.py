"""Walks through latent spaces: their geometry in closed form, and the stage `explore`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tiny import sheet
from torch import Tensor

from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.latents import activity, as_encoder, decode, encode
from genlab.results.layout import RunFolder, StudyFolder
from genlab.sampling.latents import (
    FRAMES,
    MILLISECONDS,
    STEPS,
    STRENGTHS,
    VALUES,
    Explorer,
    add_attributes,
    attribute_vectors,
    explore,
    save_film,
    slerp,
    traverse,
)
from genlab.workflow.models import load_trained


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
    walks = traverse(z, torch.tensor([3, 0]), values)
    images = decode(Scaled(), walks, "cpu", batch_size=4)  # 6 images: a batch may end in a row
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


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_shows_every_frame_for_ever(channels: int, tmp_path: Path) -> None:
    """Two pictures side by side, one growing brighter and one darker."""
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    rows = np.stack([levels, levels[::-1]])[:, :, None, None, None]
    rows = np.broadcast_to(rows, (2, 6, channels, 8, 8))
    path = tmp_path / "film.gif"
    save_film(path, rows)
    film = Image.open(path)
    assert film.format == "GIF"
    assert film.size == ((2 * 9 + 1) * 7, (8 + 2) * 7)  # a line between, enlarged 56 / 8 times
    assert film.n_frames == 6  # type: ignore[attr-defined]
    assert film.info["loop"] == 0
    for i in range(6):
        film.seek(i)
        assert film.info["duration"] == MILLISECONDS
        shown = np.asarray(film.convert("L"))[35, [32, 95]].astype(int)
        # Rounded down to a multiple of 8, to which its upper bits are added.
        assert np.abs(shown - [levels[i], levels[5 - i]]).max() <= 8
    before = path.read_bytes()
    save_film(path, rows)
    assert path.read_bytes() == before


@pytest.fixture
def explored(trained_study: StudyFolder) -> RunFolder:
    run = trained_study.run("stripes", "vae", 0)
    explore(run, cpu=True)
    return run


def close(shown: NDArray[np.uint8], expected: Tensor) -> bool:
    """Whether a sheet's images are these on [0, 1], but for rounding and the batch's last bit."""
    grey = 255 * expected.detach().numpy().reshape(shown.shape)
    return bool(np.abs(shown - grey).max() <= 1)


@torch.no_grad()
def test_the_figures_show_what_latents_json_says(explored: RunFolder) -> None:
    model = as_encoder(load_trained(explored))
    images = torch.from_numpy(np.array(read_array(explored.data.images("test")))).float() / 255
    labels = read_array(explored.data.labels("test"))
    names = read_json(explored.data.manifest)["classes"]
    found = read_json(explored.latents / "latents.json")
    assert (found["latents"], found["images"]) == (2, 96)

    traversals = sheet(explored.latent_figures / "traversals.png", len(VALUES))
    order = [row["latent"] for row in found["traversals"]["rows"]]
    assert sorted(order) == [0, 1]
    variances = [row["variance"] for row in found["traversals"]["rows"]]
    assert variances[0] >= variances[1]
    z = model.to_latent(images[[found["traversals"]["held_out"]["image"]]])
    for shown, j in zip(traversals, order, strict=True):
        for tile, value in zip(shown, found["traversals"]["values"], strict=True):
            z_moved = z.clone()
            z_moved[0, j] = value
            assert close(tile, model.from_latent(z_moved))

    interpolation = sheet(explored.latent_figures / "interpolation.png", len(STEPS) + 2)
    for shown, row in zip(interpolation, found["interpolation"]["rows"], strict=True):
        ends = [row["from"], row["to"]]
        assert {end["class"] for end in ends} == {"across", "down"}
        pair = images[[end["image"] for end in ends]]
        assert [names[labels[end["image"]]] for end in ends] == [end["class"] for end in ends]
        assert close(shown[[0, -1]], pair)
        assert close(shown[[1, -2]], model.from_latent(model.to_latent(pair)))

    attributes = sheet(explored.latent_figures / "attributes.png", len(STRENGTHS))
    for shown, row in zip(attributes, found["attributes"]["rows"], strict=True):
        assert {row["attribute"], row["held_out"]["class"]} == {"across", "down"}
        picture = images[[row["held_out"]["image"]]]
        assert close(shown[len(STRENGTHS) // 2], model.from_latent(model.to_latent(picture)))


def test_an_attribute_is_added_to_an_image_of_another_class(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Where latents are pixels, what is added is the mean image of the class less that of all."""
    run = tiny_study().run("stripes", "vae", 0)
    found = Explorer(run, Scaled(), torch.device("cpu")).attributes()
    train, test = (read_array(run.data.images(split)) / 255.0 for split in ("train", "test"))
    labels = read_array(run.data.labels("train"))
    names = read_json(run.data.manifest)["classes"]
    shown = sheet(run.latent_figures / "attributes.png", len(STRENGTHS))
    assert [row["attribute"] for row in found["rows"]] == names
    assert [row["held_out"]["class"] for row in found["rows"]] == names[::-1]
    for label, (images, row) in enumerate(zip(shown, found["rows"], strict=True)):
        vector = train[labels == label].mean(axis=0) - train.mean(axis=0)
        assert row["length"] == pytest.approx(8 * np.linalg.norm(vector), rel=1e-5)  # float32
        moved = [test[row["held_out"]["image"]] + s * vector for s in found["strengths"]]
        assert close(images, torch.from_numpy(np.clip(moved, 0, 1)))


def test_exploring_again_gives_the_same_bytes_and_a_record(explored: RunFolder) -> None:
    names = [
        *(f"figures/{kind}" for kind in (
            "attributes.png", "interpolation.png", "traversals.gif", "traversals.png"
        )),
        "latents.json",
    ]  # fmt: skip
    record = read_json(explored.outbox / "explore.json")
    assert list(record["artifacts"]) == [f"latents/{name}" for name in names]
    assert record["metrics"]["active_latents"] in (0, 1, 2)
    before = [(explored.latents / name).read_bytes() for name in names]
    (explored.latent_figures / "traversals-of-old.png").touch()
    explore(explored, cpu=True)
    assert [(explored.latents / name).read_bytes() for name in names] == before
    files = [path for path in explored.latents.rglob("*") if path.is_file()]
    assert {str(path.relative_to(explored.latents)) for path in files} == set(names)
    film = Image.open(explored.latent_figures / "traversals.gif")
    assert film.n_frames <= FRAMES  # type: ignore[attr-defined]


def test_a_model_without_a_latent_is_refused(trained_study: StudyFolder) -> None:
    with pytest.raises(GenLabError, match="DDPM has no latent vector to look at"):
        explore(trained_study.run("stripes", "ddpm", 0), cpu=True)
