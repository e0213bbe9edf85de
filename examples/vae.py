"""A variational autoencoder on handwritten digits: reconstruct, sample, walk through its latents.

Run `python examples/vae.py [IMAGES_SEEN]`; it takes about half a minute on two CPU cores.
"""

import sys

import torch

import genlab

digits = genlab.load_data("digits")
images_seen = int(sys.argv[1]) if len(sys.argv) > 1 else 64_000


def show_progress(rows: list[dict[str, float]]) -> None:
    """Print the two parts of the negative ELBO: distortion -E[log p(x|z)] and rate KL(q || p)."""
    if rows:
        last = rows[-1]
        print(f"step {last['step']}: distortion {last['distortion']:.1f}, KL {last['kl']:.1f} nats")


model = genlab.fit("vae", digits, images_seen=images_seen, seed=0, on_log=show_progress)

# Reconstructions of digits that the model has never seen: image, reconstruction, image, ...
held_out = torch.from_numpy(digits.held_out[::32]).float() / 255  # [N, 1, 28, 28] on [0, 1]
with torch.no_grad():
    pairs = torch.stack([held_out, model.reconstruct(held_out)], dim=1).flatten(0, 1)
    mse = (pairs[::2] - pairs[1::2]).square().mean()
print(f"mean squared error of reconstructions: {mse:.4f}")
genlab.save_grid((255 * pairs).round().byte(), "vae_reconstructions.png")

# Samples: z from the prior N(0, I), decoded.
genlab.save_grid(genlab.sample(model, "prior", n=64, seed=0), "vae_samples.png")

# A straight line in latent space from one digit to another.
with torch.no_grad():
    start, end = model.to_latent(held_out[[0, -1]])  # a zero and a nine
    line = torch.stack([torch.lerp(start, end, share) for share in torch.linspace(0, 1, 16)])
    genlab.save_grid((255 * model.from_latent(line)).round().byte(), "vae_line.png", columns=16)
