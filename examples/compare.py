"""Two families, one table: quality, cost of training and cost of sampling on the same data.

Run `python examples/compare.py [IMAGES_SEEN]`; it takes about two minutes on two CPU cores.
"""

import sys
import time

import genlab

digits = genlab.load_data("digits")
images_seen = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000
SAMPLES = 500

# All metrics are computed in the features of one small classifier of the digits.
classifier = genlab.fit("classifier", digits, images_seen=max(images_seen, 4_000), seed=0)

rows = {}
for family, sampler, settings in [("vae", "prior", {}), ("flow", "heun", {"steps": 8})]:
    start = time.perf_counter()
    model = genlab.fit(family, digits, images_seen=images_seen, seed=0)
    middle = time.perf_counter()
    samples = genlab.sample(model, sampler, n=SAMPLES, seed=0, **settings)
    end = time.perf_counter()
    genlab.save_grid(samples[:64], f"compare_{family}.png")
    rows[f"{family} / {sampler}"] = {
        **genlab.evaluate(samples, reference=digits, extractor=classifier),
        "training s": middle - start,
        "ms/image": (end - middle) / SAMPLES * 1000,
    }

# What real images score: no model can be expected to do better.
rows["held-out digits"] = genlab.evaluate(
    digits.held_out[::2], reference=digits, extractor=classifier
)

columns = ["fid", "kid", "precision", "recall", "training s", "ms/image"]
print(f"{images_seen:,} images seen, {SAMPLES} samples")
print(f"{'':18}" + "".join(f"{column:>12}" for column in columns))
for name, row in rows.items():
    cells = (
        f"{row[column]:12.3g}" if row.get(column) is not None else " " * 12 for column in columns
    )
    print(f"{name:18}" + "".join(cells))
