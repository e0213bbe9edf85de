"""Settings of the learning curves (`genlab.workflow.curve`)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from genlab.config.base import Images, Strict


def share_name(share: float) -> str:
    """The name of a share of the training in files: '0.05'."""
    return f"{share:g}"


def steps_at(share: float, steps: int) -> int:
    """Number of optimiser steps in a share of a training, to the nearest one, at least 1."""
    return max(1, round(share * steps))


class CurvesConfig(Strict):
    """Learning curves: the quality of each model at several points of its training."""

    shares: Annotated[tuple[float, ...], Field(min_length=2)] = (0.05, 0.1, 0.25, 0.5, 1.0)
    """Shares of the training after which a model is measured. They rise to 1, its end."""
    samples: Annotated[Images, Field(ge=16)] = 1000
    """Number of images that are drawn from a model at each of them."""

    @field_validator("shares")
    @classmethod
    def _rise_to_one(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        names = [share_name(share) for share in shares]
        if shares[0] <= 0 or shares[-1] != 1 or list(shares) != sorted(shares):
            raise ValueError(f"must rise from above 0 to 1, the end, got {', '.join(names)}")
        if len({*names}) < len(names):
            raise ValueError(f"two are the same in six digits: {', '.join(names)}")
        return shares

    @property
    def kept(self) -> tuple[float, ...]:
        """The shares before the end, whose weights a training keeps."""
        return self.shares[:-1]
