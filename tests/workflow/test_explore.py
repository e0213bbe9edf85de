"""The stage `explore`: its figures show what latents.json says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny import sheet
from torch import Tensor

from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.latents import as_encoder
from genlab.results.layout import RunFolder, StudyFolder
from genlab.sampling.latents import (
    ATTRIBUTE_STRENGTHS,
    FRAMES,
    INTERPOLATION_STEPS,
    TRAVERSAL_VALUES,
)
from genlab.workflow.explore import explore
from genlab.workflow.models import load_trained


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
    result = read_json(explored.latents / "latents.json")
    assert (result["latents"], result["images"]) == (2, 96)

    traversals = sheet(explored.latent_figures / "traversals.png", len(TRAVERSAL_VALUES))
    order = [row["latent"] for row in result["traversals"]["rows"]]
    assert sorted(order) == [0, 1]
    variances = [row["variance"] for row in result["traversals"]["rows"]]
    assert variances[0] >= variances[1]
    z = model.to_latent(images[[result["traversals"]["held_out"]["image"]]])
    for shown, j in zip(traversals, order, strict=True):
        for tile, value in zip(shown, result["traversals"]["values"], strict=True):
            z_moved = z.clone()
            z_moved[0, j] = value
            assert close(tile, model.from_latent(z_moved))

    interpolation = sheet(
        explored.latent_figures / "interpolation.png", len(INTERPOLATION_STEPS) + 2
    )
    for shown, row in zip(interpolation, result["interpolation"]["rows"], strict=True):
        ends = [row["from"], row["to"]]
        assert {end["class"] for end in ends} == {"across", "down"}
        pair = images[[end["image"] for end in ends]]
        assert [names[labels[end["image"]]] for end in ends] == [end["class"] for end in ends]
        assert close(shown[[0, -1]], pair)
        assert close(shown[[1, -2]], model.from_latent(model.to_latent(pair)))

    attributes = sheet(explored.latent_figures / "attributes.png", len(ATTRIBUTE_STRENGTHS))
    for shown, row in zip(attributes, result["attributes"]["rows"], strict=True):
        assert {row["attribute"], row["held_out"]["class"]} == {"across", "down"}
        picture = images[[row["held_out"]["image"]]]
        assert close(
            shown[len(ATTRIBUTE_STRENGTHS) // 2], model.from_latent(model.to_latent(picture))
        )


def test_exploring_again_gives_the_same_bytes_and_a_record(explored: RunFolder) -> None:
    names = [
        *(f"figures/{kind}" for kind in (
            "attributes.png", "interpolation.png", "traversals.gif", "traversals.png"
        )),
        "latents.json",
    ]  # fmt: skip
    record = read_json(explored.outbox / "explore.json")
    assert list(record["artifacts"]) == [f"latents/{name}" for name in names]
    assert record["metrics"]["final/active_latents"] in (0, 1, 2)
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
