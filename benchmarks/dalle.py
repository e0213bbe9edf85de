"""GenLab's DALL-E beside dalle-pytorch's, the second stage of both, in one run on one machine.

    pip install --no-deps dalle-pytorch axial-positional-embedding rotary-embedding-torch einops
    python benchmarks/dalle.py                                 the full comparison
    python benchmarks/dalle.py --seconds 30 --samples 200 --only genlab dalle-pytorch

Both learn the same codes of the same 4,000 digits, of GenLab's VQ-VAE as FIRST_SECONDS of training
left it, with the same captions and batch size; and both draw images for captions at temperature 1,
with a cache, and decode them by that VQ-VAE. `sides.py` says how the Frechet distance is measured.

    genlab          config/models/dalle.yaml as it stands, trained by the step of `genlab train`
    dalle-pytorch   its DALLE with as many layers, of the width that comes nearest to the parameters
                    of GenLab's, all else its default, eight heads of 64 channels among it; trained
                    as in its train_dalle.py: Adam 3e-4, constant, gradients clipped to .5. As often
                    as GenLab it leaves the caption away. Codes are looked up, not made anew
    ...-matched     with heads like GenLab's, which share the width, and its highest learning rate

dalle-pytorch isn't part of the extra `test`: other packages that it asks for can't be built any
more. They serve autoencoders and tokenizers that are not used here; a stand-in takes their place.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from sides import DIGITS, GenLab, Sampler, Side, compare, nearest, parameters, spec_of, train
from torch import Tensor
from vqvae import FIRST, GenLabFirst

from genlab.config.samplers import TokenSampler
from genlab.models.base import Model
from genlab.models.batches import Batches
from genlab.models.dalle import DALLE
from genlab.processes.noise import SampleNoise
from genlab.results.layout import StudyFolder
from genlab.sampling.draw import draw
from genlab.workflow.captions import captions_of
from genlab.workflow.data import read_table

MODEL, FIRST_SECONDS = "dalle", 60


def train_first(study: StudyFolder) -> None:
    """Train the VQ-VAE whose codes all sides learn, once."""
    if not study.run(DIGITS, FIRST, 0).weights.exists():
        side = GenLabFirst(study)
        train(side, FIRST_SECONDS)
        side.samplers()  # which saves it


class GenLabSide(GenLab):
    """The preset dalle, drawn from for captions."""

    def __init__(self, study: StudyFolder) -> None:
        train_first(study)
        super().__init__(study, MODEL, {"tokens": TokenSampler()})

    def samplers(self) -> dict[str, Sampler]:
        model = self.trained()
        return {"tokens": functools.partial(self.drawn, model)}

    def drawn(self, model: Model, which: range) -> Tensor:
        noise = SampleNoise(0, which)
        return draw(
            model, self.rows["tokens"], noise, captions_of(self.run.data, noise).tokens
        ).images


@functools.cache
def dalle_pytorch() -> Any:
    """The module with its DALLE, without what the package imports besides."""
    found = importlib.util.find_spec("dalle_pytorch")
    if found is None:
        sys.exit(f"no dalle-pytorch; the head of {__file__} says how to install it")
    package, unused = ModuleType("dalle_pytorch"), ModuleType("dalle_pytorch.vae")
    package.__path__ = list(found.submodule_search_locations or [])
    vars(unused).update(OpenAIDiscreteVAE=type("No", (), {}), VQGanVAE=type("No", (), {}))
    sys.modules |= {package.__name__: package, unused.__name__: unused}
    return importlib.import_module("dalle_pytorch.dalle_pytorch")


def peer_vae(package: Any, own: DALLE) -> Any:
    """What dalle-pytorch's DALLE asks of an autoencoder, done by GenLab's."""
    first = own.first_stage
    height, width = first.grid

    class VAE(package.DiscreteVAE):  # type: ignore[misc]
        def decode(self, img_seq: Tensor) -> Tensor:
            return own.decode(img_seq.reshape(-1, height, width))

    levels, codes = first.config.levels, first.config.codes
    vae = VAE(image_size=2 ** (levels + 1), num_layers=levels, num_tokens=codes)
    vae.image_size = own.shape[1]  # its own networks, which aren't used, take powers of 2 alone
    return vae


def peer_network(own: DALLE, matched: bool) -> Any:
    """dalle-pytorch's DALLE of about as many parameters; `matched` has heads like GenLab's."""
    package, layers, heads = dalle_pytorch(), own.config.layers, own.config.heads
    vae = peer_vae(package, own)

    def network(dim: int) -> Any:
        shape = {"heads": heads, "dim_head": dim // heads} if matched else {}
        return package.DALLE(
            dim=dim, depth=layers, vae=vae, num_text_tokens=own.vocabulary,
            text_seq_len=own.length, **shape,
        )  # fmt: skip

    return nearest(map(network, range(40, 129, 8)), parameters(own))


class PeerSide:
    """dalle-pytorch's DALLE and the loop of its train_dalle.py."""

    def __init__(self, study: StudyFolder, matched: bool = False) -> None:
        train_first(study)
        own = GenLab(study, MODEL, {}).training.model
        assert isinstance(own, DALLE) and own.training_codes is not None
        spec = spec_of(study, MODEL)
        self.dropout = spec.model.caption_dropout
        self.data, self.codes = study.data(DIGITS), own.training_codes.flatten(1).long()
        table = read_table(self.data, "train", spec.model)
        self.batches, self.steps = Batches(table, spec.training.batch_size, seed=0), 0
        self.network = peer_network(own, matched)
        rate = spec.training.learning_rate if matched else 3e-4
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.Adam(trained, rate)

    def step(self, share: float) -> None:
        batch = self.batches[self.steps]
        self.steps += 1
        assert batch.tokens is not None
        codes = self.codes[batch.indices]
        loss = self.network(batch.tokens, codes, return_loss=True, null_cond_prob=self.dropout)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def samplers(self) -> dict[str, Sampler]:
        def drawn(which: range) -> Tensor:
            tokens = captions_of(self.data, SampleNoise(0, which)).tokens
            images: Tensor = self.network.generate_images(tokens, filter_thres=0, use_cache=True)
            return images

        return {"cached": drawn}


SIDES: dict[str, Callable[[StudyFolder], Side]] = {
    "genlab": GenLabSide,
    "dalle-pytorch": PeerSide,
    "dalle-pytorch-matched": functools.partial(PeerSide, matched=True),
}

if __name__ == "__main__":
    compare(MODEL, {"sampler": "tokens"}, SIDES, __doc__ or "")
