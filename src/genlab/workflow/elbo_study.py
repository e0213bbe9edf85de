"""The stage `elbo_study`: the ELBO on probabilistic PCA, where log p(x) is known."""

from __future__ import annotations

from genlab.config.elbo_study import ElboStudyConfig
from genlab.errors import GenLabError
from genlab.evaluation.elbo.ppca import spectrum
from genlab.evaluation.elbo.ppca_study import study_bounds, study_gradients
from genlab.evaluation.elbo.randomness import random_images
from genlab.evaluation.likelihood import dequantised
from genlab.io.arrays import read_array
from genlab.models.devices import pick_device
from genlab.results.layout import StudyFolder
from genlab.results.origin import data_origin, write_measured


def elbo_study(
    study: StudyFolder, dataset: str, config: ElboStudyConfig, *, cpu: bool = False
) -> None:
    """Fit probabilistic PCA to the dequantised training images; write bounds and gradients.

    Raises:
        GenLabError: more latent dimensions than the images have, or images too large.
    """
    data, folder = study.data(dataset), study.elbo_study(dataset)
    device, origin = pick_device(cpu), data_origin(data)
    images = (
        random_images(read_array(data.images(split)), split, n).to(device)
        for split, n in (("train", config.ppca.train_images), ("test", config.ppca.held_out))
    )
    train, test = (dequantised(part, range(len(part))).flatten(1).double() for part in images)
    for problem in config.problems(train.shape[1], len(train)):
        raise GenLabError(f"elbo_study: {dataset}: {problem}")
    covariance = spectrum(train)
    bounds = {"train": len(train), **study_bounds(covariance, test, config.ppca)}
    write_measured(folder / "ppca.json", bounds, origin)
    gradients = study_gradients(covariance, test[:1], config.gradients)
    write_measured(folder / "gradients.json", gradients, origin)
