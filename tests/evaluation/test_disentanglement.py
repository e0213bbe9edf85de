"""MIG and DCI: of codes whose scores are known, and their parts against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import mutual_info_score

from genlab.evaluation.disentanglement import (
    completeness,
    discretise,
    disentanglement,
    entropy,
    forests,
    gaps,
    information_matrix,
    measure,
    mutual_information,
)
from genlab.report.sections.disentanglement import LATENTS, latent_order

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SIZES = (3, 4, 5)
NAMES = ["shape", "size", "place"]


def every_combination(times: int = 12) -> Ints:
    """Each combination of three factors `times` over, [60 * times, 3]: they are independent."""
    grid = np.stack(np.unravel_index(np.arange(np.prod(SIZES)), SIZES), axis=1)
    return np.tile(grid, (times, 1))


def noise(n: int, latents: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, latents))


paired = arrays(np.int64, st.tuples(st.just(2), st.integers(1, 40)), elements=st.integers(0, 5))


@given(pair=paired)
@settings(max_examples=25)
def test_mutual_information_is_the_sum_it_stands_for(pair: Ints) -> None:
    """sum p(a, b) log p(a, b) / p(a) p(b) by loops, scikit-learn's, and within its bounds."""
    a, b = pair
    result = mutual_information(a, b)
    brute = 0.0
    for i in set(a):
        for j in set(b):
            joint, p, q = ((a == i) & (b == j)).mean(), (a == i).mean(), (b == j).mean()
            brute += joint * np.log(joint / (p * q)) if joint else 0
    assert result == pytest.approx(brute, abs=1e-12)  # float64 sums of at most 36 terms
    assert result == pytest.approx(mutual_info_score(a, b), abs=1e-12)
    bound = min(entropy(np.bincount(a)), entropy(np.bincount(b)))
    assert 0 <= result <= bound + 1e-12


@given(counts=arrays(np.int64, st.integers(1, 10), elements=st.integers(0, 50)))
@settings(max_examples=25)
def test_entropy_is_that_of_scipy(counts: Ints) -> None:
    expected = stats.entropy(counts) if counts.sum() else 0.0
    assert entropy(counts) == pytest.approx(expected, abs=1e-12)


def test_latents_are_cut_into_bins_of_equal_width() -> None:
    """As numpy's histogram counts them; a latent that never changes lies in the first bin."""
    latents = np.concatenate([noise(500, 3), np.full((500, 1), 7.0)], axis=1)
    binned = discretise(latents)
    for j in range(3):
        expected, _ = np.histogram(latents[:, j], bins=20)
        assert np.bincount(binned[:, j], minlength=20).tolist() == expected.tolist()
    assert (binned[:, 3] == 0).all()


def test_information_of_independent_noise_is_the_bias_of_miller() -> None:
    """19 (values - 1) / 2N nats on average, where all bins are equally likely."""
    n, values = 4000, 5
    random = np.random.default_rng(0)
    result = [
        mutual_information(random.integers(0, 20, n), random.integers(0, values, n))
        for _ in range(50)
    ]
    expected = 19 * (values - 1) / (2 * n)
    # 2N I follows a chi-squared of 76 degrees: four standard errors of the mean over 50 of them.
    assert np.mean(result) == pytest.approx(expected, rel=4 * np.sqrt(2 / 76 / 50))


def test_a_perfect_code_is_perfect() -> None:
    """Latents that are factors, in another order, scaled, shifted, and one that never changes."""
    factors = every_combination()
    code = np.concatenate(
        [factors[:, [2, 0, 1]] * np.array([3.0, -0.5, 10.0]) + 1, np.zeros((len(factors), 1))],
        axis=1,
    )
    result = measure((code, factors), (code, factors), NAMES)
    exactly = {"mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"}
    # Combinations are complete, so that the other factors' information is 0 but for rounding.
    assert {name: result[name] for name in exactly} == pytest.approx(dict.fromkeys(exactly, 1.0))
    order = [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(result["information"], order, atol=1e-12)
    np.testing.assert_allclose(result["importance"], order, atol=1e-12)
    assert result["chance"] == pytest.approx(np.mean([1 / size for size in SIZES]))


def test_a_coarse_code_has_the_gap_of_its_closed_form() -> None:
    """A latent that tells only whether the place is 0: I = H(1/5), of ln 5 there is to know."""
    factors = every_combination()
    code = (factors[:, [2]] == 0).astype(float)
    share = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8)) / np.log(5)
    assert gaps(information_matrix(code, factors)) == pytest.approx([0, 0, share], abs=1e-12)


def test_a_rotated_code_is_entangled() -> None:
    """By 45 degrees: both latents know as much of both factors, though together they know all."""
    side = np.arange(5)
    factors = np.tile(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), (40, 1))
    code = factors @ np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    result = measure((code, factors), (code, factors), ["x", "y"])
    # Sums and differences of the same numbers fall into bins mirrored left to right; one that
    # lies on an edge may fall to either side of it.
    assert result["mig"] < 0.02
    # The forests' first split is one latent's by chance, so R is not quite even.
    assert result["dci_disentanglement"] < 0.05
    assert result["dci_completeness"] < 0.05
    assert result["dci_informativeness"] == 1.0


def test_noise_tells_nothing() -> None:
    """MIG is within the bias of mutual information, accuracy within chance, DCI near nothing."""
    factors = every_combination(40)
    half = len(factors) // 2
    code = noise(len(factors), 5)
    result = measure((code[:half], factors[:half]), (code[half:], factors[half:]), NAMES)
    bias = np.mean([19 * (size - 1) / (2 * len(factors)) / np.log(size) for size in SIZES])
    assert result["mig"] < bias
    # Four standard errors of a share of 1/4 in 1200 trials are 0.05.
    assert result["dci_informativeness"] == pytest.approx(result["chance"], abs=0.05)
    # Five latents share each factor's importance by chance, to some 2 % each.
    assert result["dci_disentanglement"] < 0.02
    assert result["dci_completeness"] < 0.02


def mixed(seed: int) -> tuple[Floats, Ints]:
    """A code between perfect and entangled, with noise: [720, 4] and its factors."""
    factors = every_combination()
    mixing = np.array([[1.0, 0.3, 0, 0.2], [0, 1, 0.5, 0], [0.2, 0, 1, 0]])
    return factors @ mixing + 0.3 * noise(len(factors), 4, seed), factors


def test_a_factor_that_never_varies_holds_no_information() -> None:
    """All scores stay numbers: its entropy is 0, and so is what latents know of it."""
    varied = np.repeat(np.arange(4), 50)
    factors = np.stack([varied, np.zeros_like(varied)], axis=1)
    latents = varied[:, None].astype(float)
    result = measure((latents, factors), (latents, factors), ["a", "b"])
    assert result["information"] == [[1], [0]]
    assert result["mig"] == pytest.approx(1 / 2)
    scores = [value for value in result.values() if isinstance(value, float)]
    assert np.isfinite(scores).all()


def test_scale_and_order_of_the_latents_do_not_matter() -> None:
    code, factors = mixed(0)
    order, scale = np.array([2, 0, 3, 1]), np.array([0.25, -8.0, 2.0, 64.0])
    changed = code[:, order] * scale
    before, after = (information_matrix(z, factors) for z in (code, changed))
    # A value on the edge of a bin may fall to its other side where the sign is turned.
    np.testing.assert_allclose(after, before[:, order], atol=2e-3)
    first, second = (measure((z, factors), (z, factors), NAMES) for z in (code, changed))
    for name in ("dci_disentanglement", "dci_completeness", "dci_informativeness"):
        # Two latents that split a node equally well are drawn between by lot, at the last leaves.
        assert second[name] == pytest.approx(first[name], abs=0.02)


def test_the_same_latents_give_the_same_forests_and_a_scaled_one_as_well() -> None:
    """Powers of two, which no rounding changes: bit for bit."""
    code, factors = mixed(0)
    first = forests((code, factors), (code, factors))
    for again in (code, code * np.array([0.5, 16.0, 2.0, 1.0])):
        for a, b in zip(first, forests((again, factors), (again, factors)), strict=True):
            assert (a == b).all()


def test_a_factor_is_predicted_on_images_that_were_not_learned_from() -> None:
    """Labels by lot can be learned by heart, but not foreseen."""
    random = np.random.default_rng(0)
    code, factors = noise(600, 3), random.integers(0, 4, (600, 2))
    _, by_heart = forests((code, factors), (code, factors))
    _, foreseen = forests((code[:300], factors[:300]), (code[300:], factors[300:]))
    assert by_heart.min() > 0.6
    assert foreseen.max() < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 300)  # four standard errors


@pytest.mark.parametrize(
    ("importance", "d", "c"),
    [
        ([[1, 0, 0], [0, 1, 0]], 1, 1),
        ([[1, 1, 1], [1, 1, 1]], 0, 0),
        # A factor in two latents of its own: every latent serves one factor, but not conversely.
        ([[0.5, 0.5, 0], [0, 0, 1]], 1, (2 - np.log(2) / np.log(3)) / 2),
        # Both factors in one latent: conversely.
        ([[1, 0, 0], [1, 0, 0]], 0, 1),
        # Weights: the first latent serves both with 2 of all 3 parts, the second one with 1.
        ([[1, 1], [1, 0]], 1 / 3, 0.5),
        # Nothing was learned of the second factor, so it has no latent.
        ([[1, 0], [0, 0]], 1, 0.5),
        ([[0, 0], [0, 0]], 0, 0),
    ],
)
def test_disentanglement_and_completeness_in_closed_form(
    importance: list[list[float]], d: float, c: float
) -> None:
    matrix = np.array(importance, dtype=float)
    assert disentanglement(matrix) == pytest.approx(d, abs=1e-12)
    assert completeness(matrix) == pytest.approx(c, abs=1e-12)


def test_of_a_single_latent_the_second_best_knows_nothing() -> None:
    assert gaps(np.array([[0.75], [0.0]])).tolist() == [0.75, 0.0]
    assert completeness(np.array([[1.0], [1.0]])) == 1


def test_latents_are_shown_by_factor_and_those_that_know_nothing_last() -> None:
    information = np.array([[0.0, 0.1, 0.0, 0.7, 0.2], [0.0, 0.9, 0.3, 0.2, 0.1]])
    assert latent_order(information).tolist() == [3, 4, 1, 2, 0]
    many = np.linspace(0, 1, LATENTS + 2)[None]  # the least informative ones are left out
    assert latent_order(many).tolist() == list(range(LATENTS + 1, 1, -1))
