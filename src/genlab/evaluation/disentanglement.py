"""How well single latents tell single factors: MIG and DCI, on data whose factors are known.

MIG, the mutual information gap (Chen et al. 2018, arXiv:1802.04942, equation 6): how much more the
best latent knows of a factor than the second best, as a share of what there is to know,

    MIG = 1/K sum_k (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k)

I is that of the empirical joint distribution, with every latent (a posterior mean) cut into 20 bins
of equal width (Locatello et al. 2019, arXiv:1811.12359). It lies above the true one by about
19 (values - 1) / 2N nats (Miller 1955), which the gap subtracts from itself.

DCI (Eastwood & Williams 2018): from the importance R [K, L] of latent j in predicting factor k,
    disentanglement  1 - H_K(R_.j / sum_k R_kj), averaged over latents by their share of R:
                     a latent serves one factor
    completeness     1 - H_L(R_k. / sum_j R_kj), averaged over factors: a factor has one latent
    informativeness  the share of held-out values that are predicted rightly, averaged over factors
with entropies in base K and base L. The predictors are random forests, as in the paper; R is their
mean decrease in impurity. Every split looks at all latents, so that one that says nothing is not
chosen for want of a better one. A factor that no latent tells is predicted a little below chance:
of all its values, the forest has not seen the one it is asked for together with the others.

Both are invariant to the order of the latents and to scaling any of them. For that very reason a
latent that isn't active is set to 0 first: what is left of it the noise of q(z|x) hides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.devices import pick_device
from genlab.models.latents import ACTIVE, activity, as_encoder, encode
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record
from genlab.workflow.models import load_trained

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BINS = 20
TREES = 20
MOST = 10_000  # images of a split that are looked at


def discretise(latents: Floats, bins: int = BINS) -> Ints:
    """Each latent's bin 0..bins-1 of equal width over its range: [N, L] -> [N, L]."""
    low, high = latents.min(axis=0), latents.max(axis=0)
    width = np.where(high > low, high - low, 1) / bins
    binned: Ints = np.minimum((latents - low) / width, bins - 1).astype(np.int64)
    return binned


def entropy(counts: NDArray[Any], axis: int = -1) -> Floats:
    """H of the distributions in proportion to `counts` along `axis`, in nats; 0 log 0 = 0."""
    p = counts / np.maximum(counts.sum(axis=axis, keepdims=True), np.finfo(float).tiny)
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    return np.asarray(-(p * logs).sum(axis=axis))


def mutual_information(a: Ints, b: Ints) -> float:
    """I(a; b) = H(a) + H(b) - H(a, b) of paired values >= 0, [N] each, in nats."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1)
    information = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint.ravel())
    return max(0.0, float(information))


def information_matrix(latents: Floats, factors: Ints) -> Floats:
    """I(z_j; v_k) / H(v_k), on [0, 1]: latents [N, L], factors [N, K] -> [K, L]."""
    binned = discretise(latents)
    matrix: Floats = np.array(
        [[mutual_information(z, v) for z in binned.T] for v in factors.T]
    )  # [K, L]
    whole: Floats = np.array([[entropy(np.bincount(v))] for v in factors.T])  # [K, 1]
    return matrix / whole


def gaps(information: Floats) -> Floats:
    """The best latent's share of a factor less the second best's: [K, L] -> [K]."""
    ordered = np.sort(np.pad(information, ((0, 0), (1, 0))), axis=1)  # of one latent: less nothing
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def forests(
    train: tuple[Floats, Ints], test: tuple[Floats, Ints], trees: int = TREES
) -> tuple[Floats, Floats]:
    """Predict each factor from the latents by a random forest.

    Args:
        train, test: latents [N, L] and factors [N, K].

    Returns:
        The latents' importance [K, L], whose rows sum to 1 (to 0 where nothing was learned), and
        the share of the test's values predicted rightly [K].
    """
    from sklearn.ensemble import RandomForestClassifier

    importance, accuracy = [], []
    for k in range(train[1].shape[1]):
        forest = RandomForestClassifier(
            trees, max_features=None, min_samples_leaf=5, random_state=0
        )
        forest.fit(train[0], train[1][:, k])
        importance.append(forest.feature_importances_)
        accuracy.append(forest.score(test[0], test[1][:, k]))
    return np.array(importance), np.array(accuracy)


def disentanglement(importance: Floats) -> float:
    """Whether each latent serves one factor: importance [K, L] -> 0..1."""
    factors = len(importance)
    one_factor = 1 - entropy(importance, axis=0) / np.log(max(factors, 2))  # [L]
    weights = importance.sum(axis=0) / max(importance.sum(), np.finfo(float).tiny)
    return float((weights * one_factor).sum())


def completeness(importance: Floats) -> float:
    """Whether each factor has one latent: importance [K, L] -> 0..1."""
    latents = importance.shape[1]
    one_latent = 1 - entropy(importance, axis=1) / np.log(max(latents, 2))  # [K]
    return float(np.where(importance.sum(axis=1) > 0, one_latent, 0).mean())


def measure(
    train: tuple[Floats, Ints], test: tuple[Floats, Ints], names: list[str]
) -> dict[str, Any]:
    """MIG and DCI of latents [N, L] and factors [N, K] called `names`, with their matrices.

    MIG is taken over both splits together; the forests learn on `train` and are asked on `test`.
    """
    latents, factors = (np.concatenate(pair) for pair in zip(train, test, strict=True))
    information = information_matrix(latents, factors)
    importance, accuracy = forests(train, test)
    chance = [float(np.bincount(v).max() / len(v)) for v in test[1].T]
    return {
        "mig": float(gaps(information).mean()),
        "dci_disentanglement": disentanglement(importance),
        "dci_completeness": completeness(importance),
        "dci_informativeness": float(accuracy.mean()),
        "chance": float(np.mean(chance)),
        "factors": names,
        "gaps": gaps(information).tolist(),
        "accuracy": accuracy.tolist(),
        "information": information.tolist(),
        "importance": importance.tolist(),
    }


def disentangle(run: RunFolder, *, cpu: bool = False) -> None:
    """Measure how the run's latents tell the known factors of its data; write disentanglement.json.

    Raises:
        GenLabError: the family has no latent vector, or the data set's factors aren't known.
    """
    sizes = read_json(run.data.manifest).get("factors")
    if sizes is None:
        raise GenLabError(f"{run.data.manifest}: names no factors that '{run.dataset}' was made of")
    device, origin = pick_device(cpu), run_origin(run)
    model = as_encoder(load_trained(run, device, origin))
    latents, factors = {}, {}
    for split in ("train", "test"):
        images = read_array(run.data.images(split))
        chosen = generator("disentangle", split).permutation(len(images))[:MOST]
        latents[split] = encode(model, images[chosen], device)
        factors[split] = np.array(read_array(run.data.factors(split)))[chosen]
    variance = activity(torch.cat(list(latents.values())))
    active = variance > ACTIVE
    pairs = {
        split: ((latents[split] * active).double().numpy(), factors[split]) for split in latents
    }
    found = {
        **measure(pairs["train"], pairs["test"], list(sizes)),
        "variance": variance.tolist(),
        "active": int(active.sum()),
        "images": sum(map(len, factors.values())),
    }
    write_measured(run.disentanglement, found, origin)
    metrics = {name: float(v) for name, v in found.items() if isinstance(v, float)}
    leave_record(run, "disentangle", metrics=metrics, artifacts=[run.disentanglement])
