"""MIG and DCI: how well single latents encode single factors of variation.

Both need data whose factors are known.

MIG, the mutual information gap (Chen et al. 2018, arXiv:1802.04942, equation 6), is the mutual
information of a factor with its best latent minus that with the second best, normalised by the
factor's entropy:

    MIG = 1/K sum_k (I(z_j1; v_k) - I(z_j2; v_k)) / H(v_k)

I is that of the empirical joint distribution, with every latent (a posterior mean) cut into 20 bins
of equal width (Locatello et al. 2019, arXiv:1811.12359). It exceeds the true one by about
19 (values - 1) / 2N nats (Miller 1955); the difference in the gap cancels this bias.

DCI (Eastwood & Williams 2018) follows from the importance R [K, L] of latent j in predicting
factor k:
    disentanglement  1 - H_K(R_.j / sum_k R_kj), averaged over latents weighted by their share of R:
                     1 if each latent predicts a single factor
    completeness     1 - H_L(R_k. / sum_j R_kj), averaged over factors:
                     1 if a single latent predicts each factor
    informativeness  accuracy of the predictions on held-out images, averaged over factors
with entropies in base K and base L. The predictors are random forests, as in the paper; R is their
mean decrease in impurity. Every split considers all latents; with a random subset, a split could be
forced onto an uninformative latent. The accuracy for a factor that no latent encodes is a little
below chance: data sets hold each combination of factors once, so a test value never occurs in
training together with the same values of the other factors.

Neither score depends on the order or the scale of the latents. Inactive latents are therefore set
to 0 first: their small variation is hidden by the noise of q(z|x), but scaling would magnify it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.models.capabilities import Encodes
from genlab.models.latents import ACTIVE, activity, encode

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BINS = 20
TREES = 20
MAX_IMAGES = 10_000  # of each split


def discretise(latents: Floats, bins: int = BINS) -> Ints:
    """Bin numbers 0..bins-1 of each latent, of equal width over its range: [N, L] -> [N, L]."""
    low, high = latents.min(axis=0), latents.max(axis=0)
    width = np.where(high > low, high - low, 1) / bins
    binned: Ints = np.minimum((latents - low) / width, bins - 1).astype(np.int64)
    return binned


def entropy(counts: NDArray[Any], axis: int = -1) -> Floats:
    """Entropy in nats of the distributions proportional to `counts` along `axis`; 0 log 0 = 0."""
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
    """I(z_j; v_k) / H(v_k), on [0, 1]: latents [N, L], factors [N, K] -> [K, L].

    0 for a factor that has one value in all N images: there is nothing to know of it.
    """
    binned = discretise(latents)
    matrix: Floats = np.array(
        [[mutual_information(z, v) for z in binned.T] for v in factors.T]
    )  # [K, L]
    entropies: Floats = np.array([[entropy(np.bincount(v))] for v in factors.T])  # [K, 1]
    return np.divide(matrix, entropies, out=np.zeros_like(matrix), where=entropies > 0)


def gaps(information: Floats) -> Floats:
    """Information of each factor's best latent minus the second best's: [K, L] -> [K]."""
    ordered = np.sort(np.pad(information, ((0, 0), (1, 0))), axis=1)  # with one latent: minus 0
    return np.asarray(ordered[:, -1] - ordered[:, -2])


def forests(
    train: tuple[Floats, Ints], test: tuple[Floats, Ints], trees: int = TREES
) -> tuple[Floats, Floats]:
    """Predict each factor from the latents by a random forest.

    Args:
        train, test: latents [N, L] and factors [N, K].

    Returns:
        The importance of the latents [K, L], whose rows sum to 1 (to 0 where nothing was learned),
        and the accuracy on the test split [K].
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
    """Return the D of DCI: importance [K, L] -> 0..1, 1 if each latent predicts one factor."""
    factors = len(importance)
    one_factor = 1 - entropy(importance, axis=0) / np.log(max(factors, 2))  # [L]
    weights = importance.sum(axis=0) / max(importance.sum(), np.finfo(float).tiny)
    return float((weights * one_factor).sum())


def completeness(importance: Floats) -> float:
    """Return the C of DCI: importance [K, L] -> 0..1, 1 if one latent predicts each factor."""
    latents = importance.shape[1]
    one_latent = 1 - entropy(importance, axis=1) / np.log(max(latents, 2))  # [K]
    return float(np.where(importance.sum(axis=1) > 0, one_latent, 0).mean())


def measure(
    train: tuple[Floats, Ints], test: tuple[Floats, Ints], names: list[str]
) -> dict[str, Any]:
    """MIG and DCI of latents [N, L] and factors [N, K] called `names`, with their matrices.

    MIG uses both splits together; the forests are fitted on `train` and evaluated on `test`.
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


def measure_model(
    model: Encodes,
    splits: dict[str, tuple[NDArray[np.uint8], Ints]],
    names: list[str],
    device: torch.device,
) -> dict[str, Any]:
    """Measure MIG, DCI and the activity of each latent of a model on images.

    Args:
        splits: images uint8 [N, C, H, W] and factors int64 [N, K] of the splits 'train' and
            'test'; of more than MAX_IMAGES a random subset is used.
        names: names of the factors.
    """
    latents, factors = {}, {}
    for split, (images, values) in splits.items():
        subset = generator("disentangle", split).permutation(len(images))[:MAX_IMAGES]
        latents[split] = encode(model, images[subset], device)
        factors[split] = np.array(values)[subset]
    variance = activity(torch.cat(list(latents.values())))
    active = variance > ACTIVE
    pairs = {
        split: ((latents[split] * active).double().numpy(), factors[split]) for split in latents
    }
    return {
        **measure(pairs["train"], pairs["test"], names),
        "variance": variance.tolist(),
        "active": int(active.sum()),
        "images": sum(map(len, factors.values())),
    }
