"""The section on likelihood: bits/dim of every model by kind, and ELBO and ODE side by side."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from genlab.evaluation.metrics.bits_per_dim import KINDS
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder


def elbo_and_ode(runs: dict[str, dict[str, Any]]) -> bytes:
    """Draw bits/dim of the same weights by the ELBO and by the probability-flow ODE.

    Args:
        runs: the content of each run's likelihood.json, with 'elbo' and 'ode', by its label.
    """
    figure, axis = plt.subplots(figsize=(8.5, 0.5 * len(runs) + 1.4), layout="constrained")
    names = {"elbo": "ELBO (ancestral steps)", "ode": "ODE (probability flow)"}
    heights = np.arange(len(runs))
    for (kind, name), marker in zip(names.items(), "os", strict=True):
        estimates = pd.DataFrame([run[kind] for run in runs.values()])
        axis.errorbar(
            estimates["bits_per_dim"], heights, xerr=2 * estimates["standard_error"], fmt=marker,
            ms=7, lw=1.4, capsize=3, label=name,
        )  # fmt: skip
    for height, run in enumerate(runs.values()):
        ends = [run[kind]["bits_per_dim"] for kind in names]
        axis.plot(ends, [height, height], color="0.6", lw=1, zorder=0)
    axis.set_yticks(heights, list(runs))
    axis.set(xlabel="bits/dim ± 2 standard errors", ylim=(len(runs) - 0.4, -0.6))
    figure.legend(loc="outside upper center", ncols=2, fontsize="small", frameon=False)
    return png(figure)


def bound_terms(runs: dict[str, dict[str, Any]]) -> bytes:
    """Draw the contribution of each reverse step to the variational bound, a line for each run.

    Args:
        runs: the 'terms' of each run's likelihood.json by its label: t and bits_per_dim.
    """
    figure, axis = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
    for label, terms in runs.items():
        axis.plot(terms["t"], terms["bits_per_dim"], lw=1.4, label=label)
    axis.set_xscale("symlog", linthresh=1)  # logarithmic, but with room for t = 0
    axis.set(yscale="log", xlabel="timestep t", ylabel="bits/dim of the step")
    axis.legend(fontsize="small")
    return png(figure)


def _kinds(run: RunFolder, study: ReportedStudy) -> dict[str, Any]:
    """The estimates of a run, of each kind that its family has."""
    measured = read_run_file(run, run.likelihood)
    family = study.family(run)
    return {
        "label": run_label(run),
        "cells": [measured[kind] if kind in family.likelihoods else None for kind in KINDS],
    }


class LikelihoodBoundsSection(Section):
    """Bits/dim of every model, by kind of estimate."""

    title = "Likelihood"
    order = 100
    introduction = (
        "Bits per value of the held-out images, with two standard errors. Compare numbers within a "
        "column: an exact density, a bound (ELBO, or the tighter IWAE) and the density of the "
        "probability-flow ODE answer different questions. Nor is a low number a good picture: "
        "where most pixels are exactly black, most bits say whether a pixel is exactly black. Glow "
        "is trained on the density itself and learns that; a diffusion model is trained to remove "
        "noise of all levels, and cannot tell values that are closer than its last noise level. "
        "That costs bits in every black pixel, though nobody sees it."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(study.runs_where(lambda family: bool(family.likelihoods)))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = study.runs_where(lambda family: bool(family.likelihoods))
        both = study.runs_where(lambda family: {"elbo", "ode"} <= set(family.likelihoods))
        likelihoods = {run_label(run): read_run_file(run, run.likelihood) for run in both}
        terms = {name: one["terms"] for name, one in likelihoods.items() if "terms" in one}
        return {
            "heads": list(KINDS.values()),
            "rows": [_kinds(run, study) for run in runs],
            "bounds": data_uri(elbo_and_ode(likelihoods)) if likelihoods else None,
            "terms": data_uri(bound_terms(terms)) if terms else None,
        }
