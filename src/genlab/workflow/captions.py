"""The captions that samples are drawn for."""

from __future__ import annotations

from genlab.io.arrays import read_array
from genlab.processes.noise import SampleNoise
from genlab.results.layout import DataFolder
from genlab.sampling.draw import Captions, random_captions


def captions_of(data: DataFolder, noise: SampleNoise) -> Captions:
    """Random captions of the training images; those of sample i are a function of i alone."""
    return random_captions(read_array(data.captions("train")), read_array(data.tokens), noise)
