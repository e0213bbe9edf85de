"""The section on memorisation, of a finished tiny study."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from genlab.evaluation.memorisation.neighbours import PixelSpace
from genlab.io.arrays import read_array
from genlab.report.sections.memorisation import PAIRS, MemorisationSection, pairs
from genlab.report.study import read_reported_study
from genlab.results.layout import StudyFolder
from genlab.workflow.league import league


def test_a_picture_holds_the_most_copied_images_above_their_training_images() -> None:
    random = np.random.default_rng(0)
    training = random.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    images = random.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    images[7], images[9] = training[3], training[4]
    neighbours = PixelSpace(training, images).search(images)
    picture = np.asarray(Image.open(BytesIO(pairs(images, neighbours, training))))[::7, ::7]
    np.testing.assert_array_equal(picture[1:9, 1:9], training[3, 0])  # the sample
    np.testing.assert_array_equal(picture[10:18, 1:9], training[3, 0])  # its training image
    np.testing.assert_array_equal(picture[1:9, 10:18], training[4, 0])


def test_every_row_has_its_numbers_a_verdict_and_a_picture(trained_study: StudyFolder) -> None:
    league(trained_study)
    section = MemorisationSection()
    study = read_reported_study(trained_study)
    assert section.applies(study)
    content = section.read(study)
    rows = {tuple(row["labels"][1:4:2]): row for row in content["rows"]}
    assert set(rows) == {("calibration", "real"), ("calibration", "noise"), ("vae", "prior"),
                         ("ddpm", "ddim-3")}  # fmt: skip
    texts = [cell["text"] for cell in rows["calibration", "real"]["cells"]]
    assert texts[0] == "no sign of copying"
    assert all("[" in text for text in texts[1:])  # intervals
    assert [row["title"] for row in content["pictures"]] == ["vae · prior", "ddpm · ddim-3"]
    held_out = read_array(trained_study.data("stripes").images("test"))
    for uri in (*content["controls"].values(), *(row["picture"] for row in content["pictures"])):
        picture = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
        assert Image.open(BytesIO(picture)).width == 7 * (PAIRS * (held_out.shape[3] + 1) + 1)
