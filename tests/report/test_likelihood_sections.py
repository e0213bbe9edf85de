"""The sections on likelihood bounds and on trajectories: figures of made-up numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genlab.report.sections import likelihood_bounds, trajectories


@pytest.fixture(autouse=True)
def _figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures themselves come back, not their PNG files."""
    for module in (likelihood_bounds, trajectories):
        monkeypatch.setattr(module, "png", lambda figure: figure)


def test_both_estimates_stand_on_the_line_of_their_run() -> None:
    runs = {
        name: {kind: {"bits_per_dim": bits + more, "standard_error": 0.01}
               for kind, more in (("elbo", 0.2), ("ode", 0.0))}
        for name, bits in (("one", 1.0), ("two", 2.0))
    }  # fmt: skip
    figure: Any = likelihood_bounds.elbo_and_ode(runs)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
    elbo, ode = (container.lines[0].get_xydata().tolist() for container in axis.containers)
    assert elbo == [[1.2, 0], [2.2, 1]]
    assert ode == [[1.0, 0], [2.0, 1]]
    (bars,) = axis.containers[0].lines[2]
    assert np.allclose(bars.get_segments()[0][:, 0], [1.18, 1.22])  # two standard errors
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["ELBO (ancestral steps)", "ODE (probability flow)"]


def test_the_terms_of_the_bound_have_a_line_for_each_run() -> None:
    terms = {"one": {"t": [0, 1, 2], "bits_per_dim": [1.0, 0.1, 0.01]}}
    figure: Any = likelihood_bounds.bound_terms(terms)
    (line,) = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[0, 1.0], [1, 0.1], [2, 0.01]]


def test_round_trips_have_a_line_for_each_run() -> None:
    errors = {
        name: [{"steps": n, "rmse": size / n} for n in (5, 10)]
        for name, size in (("one", 1), ("two", 2))
    }
    figure: Any = trajectories.round_trips(errors)
    (axis,) = figure.axes
    assert [line.get_xydata().tolist() for line in axis.lines] == [
        [[5, 0.2], [10, 0.1]], [[5, 0.4], [10, 0.2]],
    ]  # fmt: skip
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["one", "two"]
