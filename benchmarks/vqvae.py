"""GenLab's VQ-VAE and the prior over its codes beside pythae's, in one run on one machine.

    python benchmarks/vqvae.py                                 the full comparison
    python benchmarks/vqvae.py --seconds 30 --only genlab pythae

Both stages of every side have the same 4,000 digits in the same order, the same batch size, the
same threads and the same seconds of training each. What is compared: images a second in each stage;
of 1,000 held-out digits, the mean squared error of their reconstructions and the Frechet distance
of those; and that of images drawn from the prior. `sides.py` says how the distance is measured.

    genlab      config/models/vqvae.yaml and vqvae-prior.yaml as they stand, trained by the step of
                `genlab train`
    pythae      pythae's VQVAE with the layers of its networks for MNIST, made narrower to have
                about the same number of parameters, as many codes, its default quantiser (a
                codebook trained by gradients); its PixelCNN over the codes, of its default kernel
                and width and as many layers as come nearest to the parameters of GenLab's prior
    ...-fine    without the third of its halvings: 7 x 7 codes, as GenLab
    ...-ema     with the moving averages that pythae offers for the codebook
    ...-matched with GenLab's highest learning rates, all else pythae's own

pythae is trained as in its BaseTrainer with default settings: Adam 1e-4, constant, float32. It
decodes 4 x 4 codes (its stride is 8), GenLab 7 x 7: more to say about an image, more to draw.
Both priors are fitted to codes that are computed once, outside of the seconds that count. Batches
are those of GenLab's preset of the stage.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from common import RESULTS, Row, listed, machine, publish, table
from pythae import models as pythae
from pythae.models.nn.benchmarks.mnist import Decoder_ResNet_VQVAE_MNIST, Encoder_ResNet_VQVAE_MNIST
from pythae.models.nn.benchmarks.utils import ResBlock
from pythae.models.normalizing_flows import PixelCNN, PixelCNNConfig
from sides import (
    DIGITS,
    DRAWN,
    HELD_OUT,
    PIXELS,
    GenLab,
    Peer,
    Sampler,
    Side,
    frechet,
    make_study,
    nearest,
    parameters,
    sample,
    spec_of,
    train,
)
from torch import Tensor, nn

from genlab.config.samplers.prior import PriorSampler
from genlab.io.arrays import read_array
from genlab.models.base import Facts, build_model
from genlab.models.batches import Batches, to_float
from genlab.models.capabilities import Reconstructs
from genlab.results.layout import StudyFolder

FIRST, PRIOR = "vqvae", "vqvae-prior"


class TwoStages(Protocol):
    """A library's VQ-VAE and, once that is trained, its prior; each draws what it can."""

    def first(self) -> Side:
        """The autoencoder; it 'draws' reconstructions of the held-out images of given numbers."""
        ...

    def prior(self) -> Side:
        """The prior over the codes of the trained autoencoder."""
        ...


def held_out(study: StudyFolder, which: range) -> Tensor:
    """The held-out digits of these numbers, float [B, 1, H, W] on [0, 1]."""
    images = read_array(study.data(DIGITS).images("test"))
    return to_float(torch.from_numpy(images[which.start : which.stop].copy()))


class GenLabFirst(GenLab):
    """The preset vqvae."""

    def __init__(self, study: StudyFolder) -> None:
        super().__init__(study, FIRST, {})
        self.study = study

    def samplers(self) -> dict[str, Sampler]:
        model = self.trained()
        assert isinstance(model, Reconstructs)
        return {"reconstructions": lambda which: model.reconstruct(held_out(self.study, which))}


class GenLabStages:
    def __init__(self, study: StudyFolder) -> None:
        self.study = study

    def first(self) -> Side:
        return GenLabFirst(self.study)

    def prior(self) -> Side:
        return GenLab(self.study, PRIOR, {"samples": PriorSampler()})


def narrow_vqvae(c: int, latent: int, codes: int, ema: bool, fine: bool) -> Any:
    """pythae's VQVAE with its networks for MNIST, c channels where they have 64.

    Args:
        fine: leave out the layers that halve 7 x 7 to 4 x 4 and double it again.
    """
    config = pythae.VQVAEConfig(
        input_dim=(1, PIXELS, PIXELS), latent_dim=latent, num_embeddings=codes, use_ema=ema
    )
    encoder, decoder = Encoder_ResNet_VQVAE_MNIST(config), Decoder_ResNet_VQVAE_MNIST(config)
    wide = 2 * c
    encoder.layers = nn.ModuleList(
        [
            nn.Conv2d(1, c, 4, 2, padding=1),
            nn.Conv2d(c, wide, 4, 2, padding=1),
            *([] if fine else [nn.Conv2d(wide, wide, 3, 2, padding=1)]),
            nn.Sequential(ResBlock(wide, c // 2), ResBlock(wide, c // 2)),
        ]
    )
    encoder.pre_qantized = nn.Conv2d(wide, latent, 1)
    decoder.layers = nn.ModuleList(
        [
            nn.ConvTranspose2d(latent, wide, 1),
            *([] if fine else [nn.ConvTranspose2d(wide, wide, 3, 2, padding=1)]),
            nn.Sequential(ResBlock(wide, c // 2), ResBlock(wide, c // 2), nn.ReLU()),
            nn.Sequential(
                nn.ConvTranspose2d(wide, c, 3, 2, padding=1, output_padding=1), nn.ReLU()
            ),
            nn.Sequential(
                nn.ConvTranspose2d(c, 1, 3, 2, padding=1, output_padding=1), nn.Sigmoid()
            ),
        ]
    )
    encoder.depth, decoder.depth = len(encoder.layers), len(decoder.layers)
    return pythae.VQVAE(config, encoder, decoder).train()


def prior_parameters(study: StudyFolder) -> int:
    """Of GenLab's prior alone, without its frozen first stage."""
    shape = (1, PIXELS, PIXELS)
    first = build_model(spec_of(study, FIRST).model, Facts(shape, 10), seed=0)
    prior = build_model(spec_of(study, PRIOR).model, Facts(shape, 10), 0, first)
    return parameters(prior) - parameters(first)


class PythaeSide(Peer):
    """A network of pythae's and the loop that its BaseTrainer makes."""

    def start(self, network: nn.Module, matched: bool) -> None:
        self.network = network.train()
        rate = self.spec.training.learning_rate if matched else 1e-4
        self.optimizer = torch.optim.Adam(network.parameters(), rate)

    def fit(self, data: Tensor) -> None:
        self.optimizer.zero_grad()
        self.network({"data": data}).loss.backward()
        self.optimizer.step()


class PythaeFirst(PythaeSide):
    def __init__(self, study: StudyFolder, ema: bool, matched: bool, fine: bool) -> None:
        super().__init__(study, FIRST)
        self.study, own = study, self.spec.model
        widths = (narrow_vqvae(c, own.latent, own.codes, ema, fine) for c in range(8, 65, 2))
        self.start(nearest(widths, self.size), matched)

    def step(self, share: float) -> None:
        self.fit(self.next_images())

    def samplers(self) -> dict[str, Sampler]:
        self.network.eval()

        def reconstruct(which: range) -> Tensor:
            images: Tensor = self.network({"data": held_out(self.study, which)}).recon_x
            return images

        return {"reconstructions": reconstruct}


class PythaePrior(PythaeSide):
    """The PixelCNN over the codes of `first`, drawn from as pythae's PixelCNNSampler does."""

    def __init__(self, study: StudyFolder, first: Any, matched: bool) -> None:
        super().__init__(study, FIRST)
        self.vqvae, size = first.eval(), prior_parameters(study)
        self.spec = spec_of(study, PRIOR)
        self.batches = Batches(self.batches.table, self.spec.training.batch_size, seed=0)
        images = to_float(torch.from_numpy(self.batches.table.images.copy()))
        with torch.no_grad():
            parts = [first({"data": part}).quantized_indices for part in images.split(500)]
        self.codes = torch.cat(parts).float()  # [N, 1, h, w]
        shape, k = tuple(self.codes.shape[1:]), first.model_config.num_embeddings
        nets = (PixelCNN(PixelCNNConfig(input_dim=shape, n_embeddings=k, n_layers=n))
                for n in range(1, 11))  # fmt: skip
        self.start(nearest(nets, size), matched)

    def step(self, share: float) -> None:
        self.fit(self.codes[self.batches.indices(self.steps)])
        self.steps += 1

    def samplers(self) -> dict[str, Sampler]:
        self.network.eval()

        def sample(which: range) -> Tensor:
            z = torch.zeros(len(which), *self.codes.shape[1:])
            for y in range(z.shape[2]):
                for x in range(z.shape[3]):
                    logits = self.network({"data": z}).out.squeeze(2)[:, :, y, x]
                    z[:, :, y, x] = torch.multinomial(logits.softmax(dim=-1), 1).float()
            codebook = self.vqvae.quantizer.embeddings
            table = codebook if isinstance(codebook, Tensor) else codebook.weight
            vectors = table[z[:, 0].long()].movedim(-1, 1)
            images: Tensor = self.vqvae.decoder(vectors).reconstruction
            return images

        return {"samples": sample}


class PythaeStages:
    def __init__(
        self, study: StudyFolder, ema: bool = False, matched: bool = False, fine: bool = False
    ) -> None:
        self.study, self.matched = study, matched
        self.vqvae = PythaeFirst(study, ema, matched, fine)

    def first(self) -> Side:
        return self.vqvae

    def prior(self) -> Side:
        return PythaePrior(self.study, self.vqvae.network, self.matched)


SIDES: dict[str, Callable[[StudyFolder], TwoStages]] = {
    "genlab": GenLabStages,
    "pythae": PythaeStages,
    "pythae-fine": functools.partial(PythaeStages, fine=True),
    "pythae-fine-matched": functools.partial(PythaeStages, fine=True, matched=True),
    "pythae-matched": functools.partial(PythaeStages, matched=True),
    "pythae-ema": functools.partial(PythaeStages, ema=True),
    "pythae-ema-matched": functools.partial(PythaeStages, ema=True, matched=True),
}


def run_stages(
    name: str, stages: TwoStages, study: StudyFolder, seconds: float, samples: int
) -> list[Row]:
    """Train both stages of a side, one after the other; a row for each."""
    rows: list[Row] = []
    for model, make in ((FIRST, stages.first), (PRIOR, stages.prior)):
        batch_size = spec_of(study, model).training.batch_size
        torch.manual_seed(0)
        side = make()
        steps, spent = train(side, seconds)
        ((kind, sampler),) = side.samplers().items()
        at = study.run(DIGITS, name, 0).samples(f"{name}-{kind}")
        drawing = sample(sampler, samples, at.samples)
        drawn = to_float(torch.from_numpy(read_array(at.samples).copy()))
        error = float((drawn - held_out(study, range(samples))).square().mean())
        rows.append(
            {
                "library": name,
                "measured": kind,
                "parameters": sum(p.numel() for p in side.network.parameters() if p.requires_grad),
                "training images/s": steps * batch_size / spent,
                "drawn images/s": samples / drawing,
                "MSE": error if kind == "reconstructions" else "(drawn)",
                "Frechet distance": frechet(study, at, RESULTS / FIRST),
            }
        )
        print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of training, for every stage")
    parser.add_argument("--samples", type=int, default=1000, help="drawn, at least 16")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=SIDES, default=list(SIDES), metavar="SIDE",
                        help=f"of {', '.join(SIDES)}")  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder), [PRIOR], {"sampler": "prior"}, options.samples)
        rows: list[Row] = []
        for name in options.only:
            torch.manual_seed(0)
            stages = SIDES[name](study)
            rows += run_stages(name, stages, study, options.seconds, options.samples)
        best = frechet(study, study.calibration_row(DIGITS, "real"), RESULTS / FIRST)
    here = machine(options.threads)
    conditions = (
        f"{options.seconds:g} s of training for each stage; {options.samples} images, {DRAWN} at a "
        "time. Frechet distance to the 4,000 training digits in the features of the domain "
        f"classifier; {min(options.samples, HELD_OUT)} held-out real digits: {best:.3g}.\n"
        f"{listed(here)}.\n"
    )
    content = {"machine": here, "seconds": options.seconds, "samples": options.samples,
               "floor": best, "rows": rows}  # fmt: skip
    publish(FIRST, f"{table(rows)}\n{conditions}", content)


if __name__ == "__main__":
    main()
