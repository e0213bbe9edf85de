"""Glow on handwritten digits: exact log-likelihood, exact inverse, temperature.

Run `python examples/glow.py [IMAGES_SEEN]`; it takes about a minute on two CPU cores.
"""

import math
import sys

import torch

import genlab

digits = genlab.load_data("digits")
images_seen = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000

model = genlab.fit("glow", digits, images_seen=images_seen, seed=0)

# The exact density of held-out digits: pixels are dequantised, y = (x + u) / 256 with u ~ U[0, 1).
torch.manual_seed(0)
pixels = torch.from_numpy(digits.held_out[:256]).float()
with torch.no_grad():
    log_p = model.log_density((pixels + torch.rand_like(pixels)) / 256, "exact", 1)  # nats, [N]
    bits = 8 - log_p / (math.log(2) * pixels[0].numel())
print(f"{bits.mean():.2f} bits/dim (uniform noise: 8.00)")

# Every image is one latent vector, and back: the flow is a bijection.
images = pixels[:8] / 255
with torch.no_grad():
    error = (model.from_latent(model.to_latent(images)) - images).abs().max()
print(f"largest error of encode, then decode: {error:.1e} (half a grey level is {0.5 / 255:.1e})")

# A lower temperature draws nearer to the mode: cleaner digits, less variety.
rows = [genlab.sample(model, "prior", n=16, seed=0, temperature=t) for t in (0.5, 0.7, 1.0)]
genlab.save_grid(torch.cat(rows), "glow_temperatures.png", columns=16)
