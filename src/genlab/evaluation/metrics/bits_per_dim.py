"""Bits per dimension of the held-out images, which the stage `likelihood` measures."""

from __future__ import annotations

from typing import Any

from genlab.config.families import FamilyConfig
from genlab.evaluation.metrics import Cells, Column, Metric, RowRecord

KINDS = {"exact": "exact", "elbo": "ELBO", "iwae": "IWAE", "ode": "ODE"}
"""Names of the kinds of bits/dim, as likelihood.json has them, for readers."""
NO_BOUND = {"exact": "exact", "ode": "no bound"}
"""What stands in the ELBO's column of a family that has no ELBO, by the kind it has."""


def bits_of(family: FamilyConfig, measured: dict[str, Any]) -> Cells:
    """The last kind of bits/dim that a family has, its name, and those of the ELBO.

    Args:
        measured: bits/dim by kind, and the number `k` of importance samples.
    """
    names = KINDS | {"iwae": f"IWAE-{measured['k']}"}
    kind = family.likelihoods[-1]
    bounded = "elbo" in family.likelihoods
    return {
        "bits_per_dim": measured[kind]["bits_per_dim"],
        "bits_kind": names[kind],
        "elbo_bits_per_dim": measured["elbo"]["bits_per_dim"] if bounded else NO_BOUND[kind],
    }


class BitsPerDim(Metric):
    """Bits/dim by the tightest kind of estimate that the family has."""

    columns = (
        Column("bits_per_dim", "bits/dim", better="lower"),
        Column("bits_kind", "bits by", text=True),
        Column("elbo_bits_per_dim", "bits/dim by ELBO", over_seeds=False),
    )
    order = 60
    needs = ("likelihood",)
    explanation = (
        "Bits per value of a held-out image, computed on the same dequantised pixels (x + u) / 256 "
        "for every family. “bits by” names the estimate: “exact” is the density itself, “ELBO” and "
        "“IWAE-K” (K importance samples) are bounds, and “ODE” is the density of the "
        "probability-flow ODE, up to the error of its solver and of one random estimate of the "
        "trace. All but the last are upper bounds of the cost of storing the 8-bit image. "
        "The sampling temperature has no effect. Models on a Gaussian path are measured on "
        "{path_images} of the held-out images only, drawn at random, the same for all models."
    )

    def read(self, row: RowRecord) -> Cells:
        return bits_of(row.models[0].family, row.models[0].likelihood)

    def empty(self, reason: str) -> Cells:
        return super().empty(reason) | {"bits_kind": "none"}
