"""Glow on the full MNIST: exact bits/dim beside published figures.

    python benchmarks/mnist_glow.py --raw FOLDER                     25 minutes of training
    python benchmarks/mnist_glow.py --raw FOLDER --minutes 1 --images 500

FOLDER holds MNIST's four IDX files; without it they are downloaded. Bits/dim are those of all 8
bits, of test images dequantised once, y = (x + u) / 256: -log2 p(y) / 784 + 8, exact.

Published are 1.05 (Glow) and 1.06 (RealNVP), in Grathwohl et al. 2019 (arXiv:1810.01367, table 2).
What differs: the budget, minutes of a CPU and a few epochs here; the size; and steps of flow on the
whole image at last, which Glow has not.
"""

from __future__ import annotations

import os

os.environ["TQDM_DISABLE"] = "1"  # no progress bars


import torch
from common import RESULTS, Row, listed, machine, publish, table
from mnist import TRAIN_IMAGES, options, trained
from sides import parameters

from genlab.config.families.glow import GlowConfig
from genlab.config.study import TrainingConfig
from genlab.data.pictures import GRID, save_grid
from genlab.evaluation.likelihood import bits
from genlab.models.batches import to_uint8
from genlab.models.glow import Glow
from genlab.processes.noise import SampleNoise

PUBLISHED = {"Glow": 1.05, "RealNVP": 1.06}
MODEL = GlowConfig(steps=(4, 8), hidden=48, global_steps=4)
TRAINING = TrainingConfig(learning_rate=2e-3, batch_size=64, ema=0.999)


def main() -> None:
    chosen = options(__doc__ or "", minutes=25)
    model, images, steps, spent = trained(chosen, MODEL, TRAINING)
    assert isinstance(model, Glow)
    found = bits(model, images, "exact", 1)
    with torch.no_grad():
        drawn = model.generate(SampleNoise(0, range(GRID)))
    save_grid(RESULTS / "mnist_glow.png", to_uint8(drawn).numpy(), 8)
    seen = steps * TRAINING.batch_size
    rows: list[Row] = [
        {
            "model": f"Glow, {MODEL.variant}",
            "parameters": parameters(model),
            "training s": spent,
            "epochs": seen / TRAIN_IMAGES,
            "images/s": seen / spent,
            "bits/dim": float(found.mean()),
        }
    ]
    here = machine(chosen.threads)
    about = (
        f"Exact, of {len(found):,} test images of 8 bits; standard error over images "
        f"{float(found.std()) / len(found) ** 0.5:.2g}. Published: "
        f"{', '.join(f'{value} ({name})' for name, value in PUBLISHED.items())}.\n"
        f"{listed(here)}.\n"
    )
    publish("mnist_glow", f"{table(rows)}\n{about}", {"machine": here, "rows": rows})


if __name__ == "__main__":
    main()
