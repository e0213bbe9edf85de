"""Black backgrounds: diffusion on pixels with and without clipping to the range of pixels.

    python benchmarks/backgrounds.py
    python benchmarks/backgrounds.py --images 3200 --samples 200 --only flow

Both sides have the same digits, seed, budget and samplers. `clip: false` is the plain squared error
and samples whose predictions are not clipped; `clip: true` counts no error beyond the end of the
range that a pixel lies on, and clips the predictions of samplers and of the likelihood.
"""

from __future__ import annotations

import argparse

import torch
from common import Row, held_out_distances, listed, machine, publish, table

import genlab
from genlab.app.process import keep_freed_memory
from genlab.data.arrays import fair_share
from genlab.evaluation.likelihood import measure_likelihood

PRESETS = ("flow", "ddpm", "edm", "score-sde")
SAMPLERS = {"dpm-20": {}, "sde-dpm-20": {"stochastic": True}}


def black(images: torch.Tensor) -> float:
    """Share of the pixels that are 0."""
    return float((images == 0).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=40_000, help="of training, for every side")
    parser.add_argument("--samples", type=int, default=1000, help="drawn with every sampler")
    parser.add_argument("--held-out", type=int, default=64, help="images whose bits/dim are taken")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PRESETS, default=PRESETS, metavar="PRESET")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    digits = genlab.load_data("digits")
    pixels = torch.from_numpy(digits.held_out)
    measured = pixels[fair_share(len(pixels))[: options.held_out]]
    rows: list[Row] = []
    for preset in options.only:
        for clip in (False, True):
            model = genlab.fit(
                preset, digits, images_seen=options.images, seed=options.seed, clip=clip
            )
            bits = measure_likelihood(model, measured, 1)["ode"]["bits_per_dim"]
            for name, settings in SAMPLERS.items():
                samples = genlab.sample(
                    model, "dpm-solver", options.samples, seed=options.seed, steps=20,
                    spacing="karras", **settings,
                )  # fmt: skip
                row = {"model": preset, "clip": str(clip).lower(), "sampler": name}
                row |= {"pixels that are 0": black(samples)}
                row |= held_out_distances(samples.numpy(), digits) | {"bits/dim": bits}
                rows.append(row)
                print(row, flush=True)
    here = machine(options.threads)
    conditions = (
        f"{options.images:,} images of training, seed {options.seed}, {options.samples} samples a "
        f"row; Frechet distances to the held-out digits, of whose pixels {black(pixels):.3f} are "
        f"0; bits/dim by the ODE of {options.held_out} of them.\n"
        f"{listed(here)}.\n"
    )
    publish("backgrounds", f"{table(rows)}\n{conditions}", {"machine": here, "rows": rows})


if __name__ == "__main__":
    main()
