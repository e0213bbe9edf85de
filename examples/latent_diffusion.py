"""Latent diffusion on handwritten digits: an autoencoder first, then diffusion in its latents.

Run `python examples/latent_diffusion.py [IMAGES_SEEN]`; it takes about a minute on two CPU cores.
"""

import sys

import torch

import genlab

digits = genlab.load_data("digits")
images_seen = int(sys.argv[1]) if len(sys.argv) > 1 else 32_000

# First stage: images to latents and back, with a small KL term.
autoencoder = genlab.fit("autoencoder", digits, images_seen=images_seen, seed=0)
images = torch.from_numpy(digits.held_out[:32]).float() / 255
with torch.no_grad():
    decoded = autoencoder.reconstruct(images)
print(f"autoencoder: mean squared error {(decoded - images).square().mean():.4f} (held out)")

# Second stage: a diffusion model on the frozen autoencoder's latents.
model = genlab.fit(
    "ldm-unconditional", digits, first_stage=autoencoder, images_seen=images_seen, seed=0
)
channels, height, width = model.path_shape
print(f"diffusion runs on {channels} x {height} x {width} latents, not on 1 x 28 x 28 pixels")

samples = genlab.sample(model, "dpm-solver", n=64, steps=10, seed=0)
genlab.save_grid(samples, "latent_diffusion.png")

# The file holds both stages.
genlab.save(model, "latent_diffusion.safetensors")
assert genlab.sample(genlab.load("latent_diffusion.safetensors"), "dpm-solver", n=64, steps=10,
                     seed=0).equal(samples)  # fmt: skip
