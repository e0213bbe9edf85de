"""FID and KID of each class, for rows whose samples were asked to be of one."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.config.evaluators import FLOOR
from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Features, frechet, full_rank, kernel_distance
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.spec import read_run, read_samples
from genlab.sampling.draw import captions_of

FEWEST = 10  # images of a class from which on its KID says anything: it is unbiased, but scatters


def classes_asked(run: RunFolder, row: str, samples: int) -> NDArray[np.int64] | None:
    """The class that each sample of a row was asked for [samples]; None where none was.

    A prompt is the caption of a training image, and asks for the class of this image.
    """
    if run.model_name == FLOOR:
        return None
    family, sampler = read_run(run.config).model, read_samples(run.samples(row).config).sampler
    if getattr(sampler, "guidance", 1.0) == 0:
        return None
    if family.takes_prompts:
        noise = SampleNoise(0, range(samples), torch.device("cpu"))
        images = captions_of(run.data, noise).images.numpy()
        return np.array(read_array(run.data.labels("train"))[images])
    if family.knows_classes:
        return np.arange(samples) % len(read_json(run.data.manifest)["classes"])
    return None


def measure_classes(
    run: RunFolder,
    sample: Features,
    asked: NDArray[np.int64],
    reference: Features,
    config: EvaluationConfig,
) -> dict[str, dict[str, float | None]]:
    """FID and KID of the samples of each class against the training images of this class.

    Classes have few images. FID needs at least as many as there are feature dimensions, and is None
    where they are fewer; KID is unbiased and stands for any number. Its subsets are as large as the
    class allows.
    """
    labels = np.array(read_array(run.data.labels("train")))
    found: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(read_json(run.data.manifest)["classes"]):
        generated, real = sample["features"][asked == k], reference["features"][labels == k]
        if min(len(generated), len(real)) >= FEWEST:
            kid, _ = kernel_distance(generated, real, config)
            fid = frechet(generated, real) if full_rank(generated, real) else None
            found[name] = {"fid": fid, "kid": kid}
    return found
