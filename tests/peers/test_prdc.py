"""Density and coverage are those of prdc, the package of their authors."""

from __future__ import annotations

import numpy as np
import pytest
from prdc import compute_prdc

from genlab.evaluation.neighbours import density_coverage


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.7, 0.0), (1.5, 0.5)])
@pytest.mark.parametrize(("n", "m"), [(400, 300), (200, 500)])
def test_density_and_coverage_are_equal(n: int, m: int, scale: float, shift: float) -> None:
    random = np.random.default_rng(0)
    real, generated = random.standard_normal((n, 16)), random.standard_normal((m, 16))
    generated = shift + scale * generated
    peer = compute_prdc(real, generated, nearest_k=5)
    density, coverage = density_coverage(generated, real, 5)
    assert density.value == pytest.approx(peer["density"], rel=1e-9)
    assert coverage.value == pytest.approx(peer["coverage"], rel=1e-9)
