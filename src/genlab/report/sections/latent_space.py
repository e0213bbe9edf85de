"""The section on latent spaces: traversals, interpolations and class directions."""

from __future__ import annotations

from typing import Any

from genlab.report.figures import data_uri
from genlab.report.sections import Section
from genlab.report.study import FILMS, ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder

KINDS = ("traversals", "interpolation", "attributes")
"""The figures that a latent space may have."""


def _space(run: RunFolder, may_film: bool) -> dict[str, Any]:
    content = read_run_file(run, run.latents / "latents.json")
    kinds = [kind for kind in KINDS if kind in content]
    film = run.latent_figures / "traversals.gif"
    return {
        "title": run_label(run),
        "content": content,
        "pictures": {
            kind: data_uri((run.latent_figures / f"{kind}.png").read_bytes()) for kind in kinds
        },
        "film": data_uri(film.read_bytes(), "gif") if may_film and "traversals" in kinds else None,
    }


class LatentSpaceSection(Section):
    """Traversals, interpolations and class directions of each model with latents."""

    title = "Latent space"
    order = 110
    introduction = (
        "<b>Traversals</b>: each line varies one of the most active latent dimensions from −3 to 3 "
        "and keeps the others at their values for a held-out image. <b>Interpolation</b>: two "
        "held-out images at the ends, and between them the decoded points of the great circle that "
        "joins their latents. <b>Attributes</b>: each line moves the latent of a held-out image of "
        "another class by −2 to 2 times the difference between the mean latent of a class and the "
        "mean latent of all images."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(study.runs_where(lambda family: family.encodes))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = study.pictured(lambda family: family.encodes)
        return {"spaces": [_space(run, i < FILMS) for i, run in enumerate(runs)]}
