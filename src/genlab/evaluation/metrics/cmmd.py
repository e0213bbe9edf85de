"""Maximum mean discrepancy under a Gaussian kernel, the distance of CMMD (Jayasumana et al. 2024).

arXiv:2401.09603, section 4. The paper measures it on CLIP's features of unit length with sigma 10.
Here it is measured in the features of each extractor, whose scales differ, with sigma the median
distance between two training images (Gretton et al. 2012, section 8).
"""

from __future__ import annotations

from genlab.evaluation.gaussian_mmd import median_distance, squared_mmd
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values

SCALE = 1000  # the paper's


class CMMD(FeatureMetric):
    """SCALE times the squared discrepancy."""

    columns = (Column("cmmd", "MMD ×10³", better="lower", interval=True),)
    order = 22
    needs = ("samples", "features")
    explanation = (
        "Squared maximum mean discrepancy of the same features under a Gaussian kernel, times "
        f"{SCALE:,}: the distance of CMMD. The kernel's sigma is the median distance between two "
        "training images in these features. Unlike FID it makes no assumption about the "
        "distribution, and its expectation does not depend on the number of samples: it is 0 for a "
        "perfect model, so a value may be negative. The interval is that of the jackknife over "
        "samples and training images; it is too wide rather than too narrow."
    )

    def compute(self, comparison: Comparison) -> Values:
        generated, real = comparison.features
        sigma = median_distance(real)
        if sigma == 0:
            return self.nothing()
        return squared_mmd(generated, real, sigma).scaled(SCALE).columns("cmmd")
