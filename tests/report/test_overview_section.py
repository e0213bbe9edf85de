"""The first section: what its table and the note below it say."""

from __future__ import annotations

import pytest
from standings import standing

from genlab.config.families import Condition
from genlab.report.pictures import Picture
from genlab.report.sections.overview import _table
from genlab.report.templates import TEMPLATES

TOLD = "“told”: what the model is given about the image."


def page(*conditions: Condition) -> str:
    """The section for one row of each condition, on one line."""
    rows = [
        standing(f"model{i}", "sampler", 1 + i, condition=one) for i, one in enumerate(conditions)
    ]
    strips = [Picture("data:,", 28, "samples") for _ in rows]
    view = {"dataset": "digits", "winners": [], "figure": None, "findings": []}
    view |= {"without_samples": []} | _table(rows, strips, [one.model for one in rows])
    template = TEMPLATES.get_template("sections/overview.html.jinja")
    return " ".join(template.render(views=[view]).split())


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        (["nothing"], "No model is conditioned on a class or a caption."),
        (["class", "class"], "All models are conditioned on a class."),
        (["caption"], "All models are conditioned on a caption."),
        (["nothing", "caption"], TOLD),
    ],
)
def test_the_page_says_what_models_are_conditioned_on(
    conditions: list[Condition], sentence: str
) -> None:
    text = page(*conditions)
    assert f"interval. {sentence} " in text
    mixed = sentence == TOLD
    assert ('<th scope="col" class="words">told</th>' in text) is mixed
    assert text.count("conditioned on") == (not mixed)
