"""The section on rate and distortion: the two terms of the ELBO, for several VAEs."""

from __future__ import annotations

import functools
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from genlab.config.families.vae import VAEOptions
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file


def rate_distortion(points: pd.DataFrame) -> bytes:
    """Draw rate, KL(q(z|x) || p(z)), against distortion, -E[log p(x|z)], both in nats.

    On a line distortion + rate = const every model has the same ELBO. The grey curve joins the
    models that no other one beats in both.

    Args:
        points: columns model, group, rate, distortion; a panel for each group, since distortions
            of different likelihoods or data sets are not comparable.
    """
    groups = list(dict.fromkeys(points["group"]))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(4.6 * len(groups), 3.6), squeeze=False, layout="constrained"
    )
    for axis, group in zip(axes[0], groups, strict=True):
        part = points[points["group"] == group].sort_values("rate")
        front = part[part["distortion"] <= part["distortion"].cummin()]
        axis.plot(front["rate"], front["distortion"], color="0.6", lw=1, zorder=1)
        sns.scatterplot(part, x="rate", y="distortion", hue="model", s=60, ax=axis)
        best = (part["rate"] + part["distortion"]).min()
        ends = pd.Series([part["rate"].min(), part["rate"].max()])
        axis.plot(ends, best - ends, color="0.3", ls=":", lw=1, label="best ELBO of these models")
        axis.set(title=group, xlabel="rate (KL), nats", ylabel="distortion, nats")
        axis.legend(fontsize="x-small")
    return png(figure)


@functools.lru_cache(maxsize=1)  # `applies` and `read` share it
def read_points(study: ReportedStudy) -> list[dict[str, Any]]:
    """Return rate and distortion on the held-out images, of each run.

    A group is a data set and a likelihood p(x|z). Groups of a single model are left out.
    """
    points: list[dict[str, Any]] = []
    for run in study.runs:
        family = study.family(run)
        if isinstance(family, VAEOptions):
            losses = read_run_file(run, run.summary)["held_out"]
            group = f"{run.dataset}, {family.likelihood_name}"
            point = {"rate": losses["kl"], "distortion": losses["distortion"]}
            points.append({"model": run.model_name, "group": group, **point})
    models: dict[str, set[str]] = {}
    for point in points:
        models.setdefault(point["group"], set()).add(point["model"])
    return [point for point in points if len(models[point["group"]]) > 1]


class RateDistortionSection(Section):
    """Trade-off between the KL term and the reconstruction term of VAEs."""

    title = "Rate and distortion"
    order = 130
    introduction = (
        "The two terms of the negative ELBO on held-out images. The rate is the KL term: the "
        "information that the latent carries about the image. The distortion is the reconstruction "
        "term. A larger beta lowers the rate and raises the distortion."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(read_points(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"figure": data_uri(rate_distortion(pd.DataFrame(read_points(study))))}
