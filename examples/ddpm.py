"""Denoising diffusion on handwritten digits: train, sample with three samplers, save, load.

Run `python examples/ddpm.py [IMAGES_SEEN]`; it takes about a minute on two CPU cores.
"""

import sys
import time

import genlab

digits = genlab.load_data("digits")  # 4,000 digits to train on, 1,000 held out
images_seen = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000

# The preset `ddpm`: a U-Net that predicts v on a cosine schedule (config/models/ddpm.yaml).
# Any of its hyperparameters can be given here, such as timesteps=500 or learning_rate=1e-3.
model = genlab.fit("ddpm", digits, images_seen=images_seen, seed=0)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

# One training, many samplers: ancestral sampling, DDIM, and DPM-Solver++ of second order.
for sampler, steps in [("ddpm", 50), ("ddim", 20), ("dpm-solver", 10)]:
    start = time.perf_counter()
    samples = genlab.sample(model, sampler, n=64, steps=steps, seed=0)
    print(f"{sampler:10} {steps} steps, {(time.perf_counter() - start) / 64 * 1000:.0f} ms/image")
    genlab.save_grid(samples, f"ddpm_{sampler}.png")

# A file holds the weights and the architecture; it is safetensors, so nothing is unpickled.
genlab.save(model, "ddpm.safetensors")
again = genlab.load("ddpm.safetensors")
assert genlab.sample(again, "dpm-solver", n=64, steps=10, seed=0).equal(samples)
