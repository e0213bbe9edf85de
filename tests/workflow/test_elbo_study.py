"""The stage `elbo_study`: bounds and gradient estimators on probabilistic PCA."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from elbo_sizes import SMALL

from genlab.config.elbo_study import ElboStudyConfig
from genlab.errors import GenLabError
from genlab.io.files import read_json
from genlab.results.layout import StudyFolder
from genlab.workflow.elbo_study import elbo_study


def test_bounds_and_gradients_on_probabilistic_pca(tiny_study: Callable[..., StudyFolder]) -> None:
    at = tiny_study()
    folder = at.elbo_study("stripes")
    elbo_study(at, "stripes", SMALL, cpu=True)
    first = [(folder / name).read_bytes() for name in ("ppca.json", "gradients.json")]
    elbo_study(at, "stripes", SMALL, cpu=True)
    assert [(folder / name).read_bytes() for name in ("ppca.json", "gradients.json")] == first
    result = read_json(folder / "ppca.json")
    assert (result["train"], result["held_out"]) == (96, 64)
    assert 0 < result["held_out_bits_per_dim"]["value"] < 9
    for posterior in result["posteriors"]:
        # float64
        assert posterior["worst_difference"] < 1e-8
        assert posterior["worst_difference_by_cubature"] < 1e-8
        gap = posterior["gap_of_draws"]
        assert gap["value"] == pytest.approx(posterior["kl"], abs=5 * gap["error"] + 1e-9)
    rows = read_json(folder / "gradients.json")["rows"]
    assert len(rows) == 2 * 2 * 4
    # The mean of 50 estimates is hardly ever off by three root mean squares.
    assert all(row["bias"] < 3 * row["bias_error"] for row in rows)


def test_more_dimensions_than_the_images_have_are_refused(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    config = ElboStudyConfig.model_validate({"ppca": {"latent": 64}})
    with pytest.raises(GenLabError, match=r"stripes: ppca\.latent: 64 dimensions .* have 64"):
        elbo_study(tiny_study(), "stripes", config, cpu=True)
