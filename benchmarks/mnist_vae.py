"""A VAE on the full MNIST, black and white: log p(x) in nats beside published figures.

    python benchmarks/mnist_vae.py --raw FOLDER                     20 minutes of training
    python benchmarks/mnist_vae.py --raw FOLDER --minutes 1 --images 500

FOLDER holds MNIST's four IDX files; without it they are downloaded. The model has the Bernoulli
likelihood on dynamically binarised images: each time an image is seen, a pixel is white with the
probability that is its grey value. The test images are drawn once in this way, from a seed of their
own. Of each, log p(x) is bounded from below by the ELBO and by IWAE-500, with a float64 logsumexp.

The published figures are those of VAEs with fully connected networks, trained for as long as it
took, on images made black and white at random: 89.78 nats by importance sampling with 200 samples,
86.82 by IWAE-50. This one has convolutions, and minutes.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars

import time

import torch
from common import RESULTS, Row, listed, machine, publish, table
from mnist import TRAIN_IMAGES, options, trained
from sides import parameters
from torch import Tensor

from genlab.config.families.vae import VAEConfig
from genlab.config.study import TrainingConfig
from genlab.data.pictures import GRID, save_grid
from genlab.data.randomness import address
from genlab.models.base import Batch
from genlab.models.batches import to_float, to_uint8
from genlab.models.vae import VAE
from genlab.nn.densities import log_mean_exp
from genlab.processes.noise import SampleNoise

SAMPLES = 500  # K of IWAE-K
TOGETHER = 20  # test images at a time
MODEL = VAEConfig(likelihood="bernoulli", binarise="dynamic", latent=32)
TRAINING = TrainingConfig(learning_rate=3e-3, batch_size=64, ema=0.999, clip_norm=50.0)


@torch.no_grad()
def measure(vae: VAE, images: Tensor) -> tuple[float, float, float]:
    """-ELBO and -IWAE-500 in nats, means over black and white `images`; and the latter's error."""
    torch.manual_seed(address("benchmark", "importance samples"))
    bounds = [
        log_mean_exp(vae.log_weights(some, SAMPLES), dim=0) for some in images.split(TOGETHER)
    ]
    tight = -torch.cat(bounds)
    elbo = torch.stack([vae.loss(Batch(images, images))["elbo"] for _ in range(10)]).mean()
    return -float(elbo), float(tight.mean()), float(tight.std() / len(tight) ** 0.5)


def main() -> None:
    chosen = options(__doc__ or "", minutes=20)
    vae, images, steps, spent = trained(chosen, MODEL, TRAINING)
    assert isinstance(vae, VAE)
    grey = to_float(images)
    torch.manual_seed(address("benchmark", "binarisation"))
    begun = time.perf_counter()
    elbo, tight, error = measure(vae, torch.bernoulli(grey))
    seconds = time.perf_counter() - begun
    save_grid(
        RESULTS / "mnist_vae.png", to_uint8(vae.generate(SampleNoise(0, range(GRID)))).numpy(), 8
    )
    seen = steps * TRAINING.batch_size
    rows: list[Row] = [
        {
            "model": f"VAE, {MODEL.latent} latents, {MODEL.variant}",
            "parameters": parameters(vae),
            "training s": spent,
            "epochs": seen / TRAIN_IMAGES,
            "images/s": seen / spent,
            "-ELBO nats": elbo,
            f"-IWAE-{SAMPLES} nats": tight,
        }
    ]
    here = machine(chosen.threads)
    about = (
        f"{len(grey):,} test images, standard error over images {error:.2g} nats, measured in "
        f"{seconds:.0f} s. Published: 89.78 (200 samples) and 86.82 (IWAE-50).\n"
        f"{listed(here)}.\n"
    )
    publish("mnist_vae", f"{table(rows)}\n{about}", {"machine": here, "rows": rows})


if __name__ == "__main__":
    main()
