"""GenLab's metrics beside torch-fidelity's command line: many sample sets, one reference.

    python benchmarks/features.py                                  # 12 sets of 2,000 images
    python benchmarks/features.py --images 20 --reference 200 --measured 1      # without a GPU

Every set is compared with the same real images in the features of Inception. GenLab extracts the
features of the reference and of each set once, one process each as in its workflow (`genlab
features`), and computes the metrics from the files. torch-fidelity's command line takes two folders
of PNG files, and extracts the features of both for every set. Both report KID, the inception score,
precision and recall; FID as well where there are at least as many images as the features have
dimensions (2,048). Weights are random, since time does not depend on them. With --measured, only
the first sets are measured; the time of the reference is shared by all --sets nevertheless.

The sets are training digits with more and more noise. Writing the PNG files is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CHECKOUT, Row, listed, machine, publish, table
from numpy.typing import NDArray
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from genlab.config.evaluators.inception_v3_compat import Inception
from genlab.config.sources.digits import DigitsConfig
from genlab.config.study import load_study
from genlab.data.sources.digits import fetch, read
from genlab.evaluation.extractors.inception_v3_compat import InceptionV3
from genlab.evaluation.metrics import Comparison
from genlab.evaluation.metrics.fid import FID
from genlab.evaluation.metrics.inception_score import InceptionScore
from genlab.evaluation.metrics.kid import KID
from genlab.evaluation.metrics.precision_recall import PrecisionRecall
from genlab.io.arrays import write_array
from genlab.results.layout import StudyFolder
from genlab.results.spec import study_specs, write_specs
from genlab.workflow.feature_files import features_origin, read_features

INCEPTION = Inception.name
DIGITS = "digits"
NOISE = 8  # grey values of standard deviation that each set has more than the one before
COLUMNS = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "inception_score": "inception_score_mean",
    "precision": "precision",
    "recall": "recall",
}


class RandomInception(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The architecture with random weights, instead of those it would load."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the random weights."""


def write_weights(path: Path) -> None:
    """Write random weights of Inception."""
    torch.save({}, path)
    torch.manual_seed(0)
    network = RandomInception(INCEPTION, list(InceptionV3.layers), str(path))
    for weight in network.parameters():
        if weight.ndim > 1:  # He's initialisation: features differ from image to image
            torch.nn.init.kaiming_normal_(weight)
    torch.save(network.state_dict(), path)


def write_folder(folder: Path, images: NDArray[np.uint8]) -> None:
    """Write grey images [N, 1, H, W] as PNG files of three equal channels."""
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[0]).convert("RGB").save(folder / f"{i:05}.png")


def image_sets(
    options: argparse.Namespace,
) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """The reference, and the sets of noisy digits."""
    config, random = DigitsConfig(), np.random.default_rng(0)
    digits = read(config, fetch(config, CHECKOUT)).train.images
    reference = digits[
        random.choice(len(digits), options.reference, replace=options.reference > len(digits))
    ]
    sets = []
    for k in range(options.measured):
        images = digits[random.integers(0, len(digits), options.images)]
        noise = random.normal(0, NOISE * (k + 1), images.shape)
        sets.append((images + noise).clip(0, 255).astype(np.uint8))
    return reference, sets


class Clock:
    """Seconds on the wall, and those of the processor in this process and those it waited for."""

    def __init__(self) -> None:
        self.last = self.now()

    @staticmethod
    def now() -> NDArray[np.float64]:
        """The two, since some beginning."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() + children.ru_utime + children.ru_stime
        return np.array([time.perf_counter(), cpu])

    def lap(self) -> NDArray[np.float64]:
        """The two, since the last lap."""
        last, self.last = self.last, self.now()
        return self.last - last


class GenLab:
    """`genlab features` for each array, and metrics from the files."""

    def __init__(self, folder: Path, weights: Path, options: argparse.Namespace) -> None:
        self.folder, self.cpu = folder, options.cpu
        evaluation = {
            "samples": max(options.images, Inception.features),  # what a study must have
            "extractors": [INCEPTION],
            "weights": {INCEPTION: str(weights)},
            "calibration": [],
        }
        values = {
            "name": "features", "datasets": [DIGITS], "models": ["ddpm"],
            "samplers": {"ddim": {"sampler": "ddim", "steps": 2}}, "evaluation": evaluation,
        }  # fmt: skip
        self.study = load_study(values, CHECKOUT / "config", "benchmarks/features.py")
        write_specs(study_specs(self.study, folder))
        self.at = StudyFolder(folder / self.study.name)

    def features(self, name: str) -> dict[str, Any]:
        """The features of the images `name`.npy, extracted by a process of its own."""
        images, out = self.folder / f"{name}.npy", self.folder / name
        command = [sys.executable, "-m", "genlab", "features", "--config", self.at.config]
        where = ["--dataset", DIGITS, "--images", images, "--out", out]
        run([*command, *where, *(["--gpus", "0"] if self.cpu else [])])
        origin = features_origin(self.at, DIGITS, INCEPTION, images)
        return read_features(out / f"{INCEPTION}.npz", origin)

    def measure(self, generated: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
        """The metrics that both sides report."""
        comparison = Comparison(generated, reference, self.study.evaluation)
        values: dict[str, Any] = {}
        for metric in (FID(), KID(), InceptionScore(), PrecisionRecall()):
            values |= metric.compute(comparison)
        return {name: values[name] for name in COLUMNS if values[name] is not None}


def run(command: Iterable[object]) -> str:
    """What the command prints."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}:\n{done.stderr}")
    return done.stdout


def fidelity(
    folders: tuple[Path, Path], weights: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """The metrics of two folders by torch-fidelity's command line."""
    fid = ["--fid"] if min(options.images, options.reference) >= Inception.features else []
    printed = run([
        sys.executable, "-m", "torch_fidelity.fidelity", "--json", "--silent", "--no-cache",
        "--isc", "--kid", "--prc", *fid, "--feature-extractor", INCEPTION,
        "--feature-extractor-weights-path", weights,
        "--kid-subset-size", min(options.images, options.reference), "--kid-subsets", "1",
        "--input1", folders[0], "--input2", folders[1],
        *(["--cpu"] if options.cpu else ["--gpu", "0"]),
    ])  # fmt: skip
    values = json.loads(printed)
    return {name: values[key] for name, key in COLUMNS.items() if key in values}


def compare(work: Path, options: argparse.Namespace) -> tuple[list[Row], float]:
    """The rows of both sides, and how much the common numbers differ, relatively, at most."""
    weights, (reference, sets) = work / "weights.pth", image_sets(options)
    write_weights(weights)
    genlab = GenLab(work, weights, options)
    names = [f"set{k}" for k in range(len(sets))]
    for name, images in [("reference", reference), *zip(names, sets, strict=True)]:
        write_array(work / f"{name}.npy", images)
        write_folder(work / f"{name}-png", images)

    clock = Clock()
    real = genlab.features("reference")
    of_reference = clock.lap()
    ours = [genlab.measure(genlab.features(name), real) for name in names]
    of_genlab = of_reference / options.sets + clock.lap() / len(names)
    theirs = [
        fidelity((work / f"{name}-png", work / "reference-png"), weights, options) for name in names
    ]
    of_command = clock.lap() / len(names)
    gap = max(
        abs(own[name] - value) / max(abs(value), 1e-3)
        for own, peer in zip(ours, theirs, strict=True)
        for name, value in peer.items()
    )
    rows: list[Row] = [
        {
            "side": side,
            "seconds per set": float(seconds[0]),
            "CPU seconds per set": float(seconds[1]),
            "speed": float(of_command[0] / seconds[0]),
            "speed by CPU": float(of_command[1] / seconds[1]),
        }
        for side, seconds in (("genlab", of_genlab), ("torch-fidelity", of_command))
    ]
    return rows, gap


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", type=int, default=12)
    parser.add_argument("--images", type=int, default=2000, help="of each set")
    parser.add_argument("--reference", type=int, default=20_000, help="real images")
    parser.add_argument("--measured", type=int, help="sets that are measured; all by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    options.measured = options.measured or options.sets
    options.cpu = not torch.cuda.is_available()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows, gap = compare(Path(folder), options)
    about = machine(options.threads)
    conditions = (
        f"{options.sets} sets of {options.images:,} images against {options.reference:,}, "
        f"{options.measured} of them measured, on the "
        f"{'processor' if options.cpu else 'GPU'}. Numbers differ by {gap:.1e} at most.\n"
        f"{listed(about)}.\n"
    )
    content = {"machine": about, "options": vars(options), "gap": gap, "rows": rows}
    publish("features", f"{table(rows)}\n{conditions}", content)


if __name__ == "__main__":
    main()
