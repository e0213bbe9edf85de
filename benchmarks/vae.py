"""GenLab's VAE beside pythae's, in one run on one machine.

    python benchmarks/vae.py                                the full comparison
    python benchmarks/vae.py --seconds 30 --only genlab pythae-mlp

`sides.py` says what all sides share. Each draws images by decoding z ~ N(0, I), 16 dimensions.

    genlab      config/models/vae-bernoulli.yaml as it stands, trained by the step of `genlab train`
    pythae-mlp  pythae's VAE with the networks that it builds by default (one hidden layer of 512 on
                each side), of about the same number of parameters
    pythae-resnet
                pythae's VAE with its ResNet for MNIST, of nearly as many parameters
    pythae-mlp-matched
                the first with GenLab's highest learning rate, all else its own; at that rate the
                ResNet's loss soon is not a number

pythae's sides train as its BaseTrainer does with default settings: Adam 1e-4, constant, float32, no
average of the weights. Their likelihood is the Bernoulli of grey values as here ("bce"); its
default, "mse", is a Gaussian of standard deviation 1, whose samples are means of many digits.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars

import functools
from collections.abc import Callable

import torch
from pythae import models as pythae
from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_AE_MNIST, Encoder_ResNet_VAE_MNIST
from sides import PIXELS, GenLab, Peer, Sampler, Side, compare
from torch import Tensor

from genlab.config.samplers.prior import PriorSampler
from genlab.results.layout import StudyFolder

MODEL = "vae-bernoulli"


class Pythae(Peer):
    """pythae's VAE, as its BaseTrainer trains it."""

    def __init__(self, study: StudyFolder, resnet: bool, matched: bool) -> None:
        super().__init__(study, MODEL)
        config = pythae.VAEConfig(
            input_dim=(1, PIXELS, PIXELS),
            latent_dim=self.spec.model.latent,
            reconstruction_loss="bce",
        )
        nets = (Encoder_ResNet_VAE_MNIST, Decoder_ResNet_AE_MNIST) if resnet else ()
        self.network = pythae.VAE(config, *(net(config) for net in nets)).train()
        self.latent = config.latent_dim
        rate = self.spec.training.learning_rate if matched else 1e-4
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate)

    def step(self, share: float) -> None:
        loss = self.network({"data": self.next_images()}).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def samplers(self) -> dict[str, Sampler]:
        self.network.eval()

        def sample(which: range) -> Tensor:
            images: Tensor = self.network.decoder(
                torch.randn(len(which), self.latent)
            ).reconstruction
            return images.reshape(-1, 1, PIXELS, PIXELS)

        return {"prior": sample}


SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": functools.partial(GenLab, model=MODEL, rows={"prior": PriorSampler()}),
    "pythae-mlp": functools.partial(Pythae, resnet=False, matched=False),
    "pythae-mlp-matched": functools.partial(Pythae, resnet=False, matched=True),
    "pythae-resnet": functools.partial(Pythae, resnet=True, matched=False),
}

if __name__ == "__main__":
    compare(MODEL, {"sampler": "prior"}, SIDES, __doc__ or "")
