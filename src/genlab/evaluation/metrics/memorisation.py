"""Whether samples copy training images, by pixels and by all feature spaces of the study."""

from __future__ import annotations

from genlab.evaluation.memorisation.copying import (
    audit,
    authenticity,
    c_t_of,
    copies,
    ratio_tests,
)
from genlab.evaluation.memorisation.neighbours import feature_space, pixel_space
from genlab.evaluation.memorisation.parts import copied_parts
from genlab.evaluation.metrics import Column, RowComparison, RowMetric, RowValues

FEWEST = 20
"""Samples and held-out images that the tests need."""


class Memorisation(RowMetric):
    """The audit's verdict, and the measures of copying in pixels."""

    columns = (
        Column("copying", "copying", text=True, over_seeds=False, reference="both"),
        Column("copying_p", "copying p", over_seeds=False, reference="both"),
        Column("copies", "copies", unit="%", interval=True, reference="training"),
        Column("pixel_c_t", "C_T of pixels", interval=True, over_seeds=False, reference="both"),
        Column("pixel_authenticity", "AuthPct of pixels", unit="%", interval=True,
               over_seeds=False, reference="training"),
    )  # fmt: skip
    order = 54
    needs = ("samples",)
    explanation = (
        "“copying” compares the ratio of a sample's distances to the nearest and the "
        "second-nearest training image with that of held-out images, in pixels (up to a shift by "
        "one) and in every feature space: by ranks, and among the smallest 0.5 % and 2 % by "
        "Fisher's exact test. Another test asks whether parts of samples are nearer to training "
        "than to held-out images more often than chance. “copying p” combines the p-values by "
        "Cauchy's distribution (Liu & Xie 2020), where the test of parts has half of the weight; "
        "the verdict is copying below 0.01. Copies of whole images count against a row only if p "
        "is below 0.01 after Holm's correction over all rows and seeds of its data set. “copies” "
        "is the share of samples whose ratio in pixels is below 1/3. C_T and AuthPct of pixels are "
        "those of features, in pixels."
    )

    def compute(self, row: RowComparison) -> RowValues:
        if row.held_out is None or min(len(row.held_out), len(row.generated)) < FEWEST:
            return self.nothing()
        pixels = pixel_space(row.training, row.held_out)
        samples = pixels.neighbours(row.generated)
        p_values = ratio_tests(samples.ratios, pixels.held_out_neighbours.ratios)
        for comparison in row.spaces.values():
            assert comparison.held_out is not None  # the row has held-out images
            generated, training = comparison.features
            space = feature_space(training, comparison.held_out["features"])
            ratios = space.neighbours(generated).ratios
            p_values += ratio_tests(ratios, space.held_out_neighbours.ratios)
        result = audit(p_values, copied_parts(row.generated, row.training, row.held_out))
        c_t = c_t_of(pixels, samples, pixels.cells(row.generated))
        return {
            **self.nothing(),
            "copying": result.verdict,
            "copying_p": result.p,
            **copies(samples).columns("copies"),
            **({} if c_t is None else c_t.columns("pixel_c_t")),
            **authenticity(pixels, samples).columns("pixel_authenticity"),
        }
