"""Whether the 95 % intervals of the metrics cover.

    python benchmarks/intervals.py --raw FOLDER                 some ten minutes on one core
    python benchmarks/intervals.py --raw FOLDER --trials 50

FOLDER holds MNIST's four IDX files; without it they are downloaded. Every trial draws new samples
and new reference images from two populations whose distance is known, and asks whether the interval
holds it:

- "Gaussians": 64 features with variances 48 / i; the reference is A x + b with a symmetric A, so
  that d^2 = |b|^2 + tr((A - I) C (A - I)), and b and A - I are scaled to d^2 = 1.65;
- "equal Gaussians": the same without A and b, d^2 = 0;
- "digits": all 60,000 training and all 10,000 test digits of MNIST in 64 principal components of
  their pixels, drawn with replacement; "no 3" leaves that class out of the samples.

"width" is the mean width in units of the ideal one, 2 x 1.96 standard deviations of the estimate
over the trials. Where a metric's population value depends on the numbers of images (plug-in FID,
precision, recall, inception score), the mean over the trials takes the place of the truth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import Row, listed, machine, publish, table

from genlab.config.sources.torchvision import TorchvisionConfig
from genlab.config.study import EvaluationConfig
from genlab.data.randomness import generator
from genlab.data.sources.torchvision import fetch, read
from genlab.evaluation.intervals import frechet_estimate, kid_estimate
from genlab.evaluation.metrics import Comparison
from genlab.evaluation.metrics.fid import frechet, gap
from genlab.evaluation.metrics.inception_score import InceptionScore
from genlab.evaluation.metrics.precision_recall import PrecisionRecall
from genlab.evaluation.root_trace import Float

F, REFERENCE, HELD_OUT = 64, 4_000, 1_000
DISTANCE = 1.65
CONFIG = EvaluationConfig(samples=250)
Draw = Callable[[int, np.random.Generator], Float]
Intervals = dict[str, tuple[float, float, float]]
"""Centre and ends of an interval, by the name of the quantity."""


@dataclass(frozen=True)
class Populations:
    """Two populations, as functions that draw n vectors of features, and what is known of them."""

    generated: Draw
    reference: Draw
    distance: float


def gaussians(scale: float) -> Populations:
    """A pair of Gaussians at the distance DISTANCE (`scale` 1) or 0 (`scale` 0)."""
    random = generator("benchmark", "intervals", "gaussians")
    variance = 48 / np.arange(1, F + 1)
    b, change = 0.1 * random.standard_normal(F), 0.02 * random.standard_normal((F, F))
    change = change + change.T  # A - I
    squared_distance = b @ b + np.trace(change @ np.diag(variance) @ change)
    factor = scale * np.sqrt(DISTANCE / squared_distance)

    def generated(n: int, random: np.random.Generator) -> Float:
        x: Float = random.standard_normal((n, F)) * np.sqrt(variance)
        return x

    def reference(n: int, random: np.random.Generator) -> Float:
        x = generated(n, random)
        return x + factor * (x @ change + b)

    return Populations(generated, reference, scale**2 * DISTANCE)


def digits(raw: str | None, without: int | None = None) -> Populations:
    """Training digits as samples, perhaps without one class, and test digits as reference."""
    with tempfile.TemporaryDirectory() as folder:
        config = TorchvisionConfig(dataset="mnist", raw=raw)
        source = read(config, fetch(config, Path(folder)))
    train, test = (
        split.images.reshape(len(split.images), -1).astype(np.float64) / 255
        for split in (source.train, source.test)
    )
    mean = train.mean(axis=0)
    components = np.linalg.eigh(np.cov(train, rowvar=False))[1][:, -F:]
    kept = source.train.labels != without if without is not None else slice(None)
    x, y = ((images - mean) @ components for images in (train[kept], test))
    distance = frechet(x, y)
    assert distance is not None
    return Populations(
        lambda n, random: x[random.integers(len(x), size=n)],
        lambda n, random: y[random.integers(len(y), size=n)],
        distance,
    )


def frechet_trial(pair: Populations, n: int, random: np.random.Generator) -> Intervals:
    """The Frechet distances of one trial."""
    x = pair.generated(n, random)
    training = frechet_estimate(x, pair.reference(REFERENCE, random))
    held_out = frechet_estimate(x, pair.reference(HELD_OUT, random))
    assert training is not None and held_out is not None
    half = training.half_width
    difference, width = gap(training, held_out)
    return {
        "FID∞": (training.unbiased, training.low, training.high),
        "FID": (training.value, training.value - half, training.value + half),
        "FID∞, 1,000 held-out": (held_out.unbiased, held_out.low, held_out.high),
        "FID gap": (difference, difference - width, difference + width),
    }


def other_trial(pair: Populations, n: int, random: np.random.Generator) -> Intervals:
    """KID, precision, recall and inception score of one trial, with 1,000 reference images."""
    x, y = pair.generated(n, random), pair.reference(HELD_OUT, random)
    kid = kid_estimate(x, y)
    features = [
        {"features": v.astype(np.float32), "logits": v[:, -10:].astype(np.float32)} for v in (x, y)
    ]
    comparison = Comparison(features[0], features[1], CONFIG)
    values = PrecisionRecall().compute(comparison) | InceptionScore().compute(comparison)
    names = {"precision": "precision", "recall": "recall", "inception_score": "inception score"}
    return {"KID": (kid.value, kid.low, kid.high)} | {
        label: tuple(float(values[end] or 0) for end in (name, f"{name}_low", f"{name}_high"))
        for name, label in names.items()
    }


def bootstrap_trial(pair: Populations, n: int, random: np.random.Generator) -> Intervals:
    """The percentile interval of 100 resamples of both sets."""
    x, y = pair.generated(n, random), pair.reference(REFERENCE, random)
    values = []
    for _ in range(100):
        a, b = (v[random.integers(len(v), size=len(v))] for v in (x, y))
        values.append(frechet(a, b))  # type: ignore[arg-type]
    low, high = np.quantile(values, (0.025, 0.975))  # type: ignore[arg-type]
    return {"percentile bootstrap of FID": (frechet(x, y), low, high)}  # type: ignore


def coverage(
    name: str,
    pair: Populations,
    n: int,
    trials: int,
    trial: Callable[[Populations, int, np.random.Generator], Intervals],
) -> list[Row]:
    """Rows of a table: how often the intervals of `trials` trials hold the truth."""
    results = [trial(pair, n, generator("benchmark", name, n, k)) for k in range(trials)]
    rows: list[Row] = []
    for quantity in results[0]:
        centre, low, high = np.array([result[quantity] for result in results]).T
        truths = {"FID gap": 0.0, "percentile bootstrap of FID": pair.distance}
        truth = pair.distance if "∞" in quantity else truths.get(quantity, centre.mean())
        ideal = 2 * 1.96 * centre.std()
        rows.append({
            "populations": name, "quantity": quantity, "N": n, "truth": float(truth),
            "mean estimate": float(centre.mean()),
            "coverage %": float(100 * ((low <= truth) & (truth <= high)).mean()),
            "width": float((high - low).mean() / ideal),
        })  # fmt: skip
    print(table(rows), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--raw", help="folder with MNIST's IDX files; else they are downloaded")
    parser.add_argument("--trials", type=int, default=500, help="of the Frechet distance")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.perf_counter()
    pairs = {
        "Gaussians": gaussians(1), "equal Gaussians": gaussians(0),
        "digits": digits(chosen.raw), "digits, no 3": digits(chosen.raw, without=3),
    }  # fmt: skip
    half, few = max(chosen.trials // 2, 2), max(chosen.trials // 20, 2)
    rows: list[Row] = []
    for name, pair in pairs.items():
        for n in (250, 1_000, 4_000):
            rows += coverage(name, pair, n, chosen.trials, frechet_trial)
    for name in ("Gaussians", "digits, no 3"):
        for n in (250, 1_000):
            rows += coverage(name, pairs[name], n, half, other_trial)
    rows += coverage("Gaussians", pairs["Gaussians"], 1_000, few, bootstrap_trial)
    spent = time.perf_counter() - begun
    facts = machine(1)
    note = f"{chosen.trials} trials of the Frechet distance, {half} of other metrics, "
    note += f"{few} of the bootstrap; {spent:.0f} s.\n"
    note += listed(facts) + ".\n"
    publish("intervals", f"{table(rows)}\n{note}", {"rows": rows, "machine": facts})


if __name__ == "__main__":
    main()
