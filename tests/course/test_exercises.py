"""The exercises: every solution is right, every typical mistake gets its own hint."""

from __future__ import annotations

import ast
import itertools
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from genlab.course.compare import SEEDS, Verdict, compare, judge
from genlab.course.exercises import Exercise, exercises, find
from genlab.errors import GenLabError
from genlab.evaluation.metrics.fid import frechet
from genlab.evaluation.metrics.precision_recall import precision_recall
from genlab.nn.densities import gaussian_kl, log_mean_exp
from genlab.nn.quantiser import Quantiser
from genlab.processes.paths import EDMPath
from genlab.processes.spacing import step_times
from genlab.samplers.ddpm import reverse_step

OTHER_SEEDS = [(2, 3), (10,), (20, 21, 22)]
EACH = pytest.mark.parametrize("exercise", exercises().values(), ids=lambda e: e.number)


def verdict(exercise: Exercise, answer: Callable[..., Any], seeds: tuple[int, ...]) -> Verdict:
    results = [exercise.result(answer, *case) for seed in seeds for case in exercise.cases(seed)]
    return compare(exercise, results, seeds)


def judged(number: str, answer: Any) -> Verdict:
    exercise = find(number)
    module = types.ModuleType("answers")
    setattr(module, exercise.name, answer)
    return judge(exercise, module, Path(__file__))


@EACH
@pytest.mark.parametrize("seeds", [SEEDS, *OTHER_SEEDS], ids=str)
def test_the_solution_is_right_and_each_mistake_has_its_own_hint(
    exercise: Exercise, seeds: tuple[int, ...]
) -> None:
    assert verdict(exercise, exercise.solution, seeds).outcome == "right"
    for mistake in exercise.mistakes:
        assert verdict(exercise, mistake.answer, seeds) == Verdict("wrong", mistake.hint)


@EACH
def test_an_exercise_has_its_facts(exercise: Exercise) -> None:
    hints = [mistake.hint for mistake in exercise.mistakes]
    assert len(set(hints)) == len(hints) >= 3
    assert 0 <= exercise.place[0] <= 11
    assert exercise.solution.__doc__
    # A hint holds no code and no formula that could be copied.
    source = exercise.source.partition('"""')[2].partition('"""')[2]
    for line in filter(None, map(str.strip, source.splitlines())):
        code = line.removeprefix("return ")
        assert code.isidentifier() or not any(code in hint for hint in hints)
    # Cases are the same at every call, and others with another seed.
    first, again, other = (exercise.cases(seed) for seed in (0, 0, 5))
    tensors = [
        [value for case in cases for value in case if isinstance(value, torch.Tensor)]
        for cases in (first, again, other)
    ]
    assert all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[1], strict=True))
    if tensors[0]:
        assert not all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[2], strict=True))


@EACH
def test_the_template_is_unfinished_and_needs_nothing_else(exercise: Exercise) -> None:
    template = exercise.template()
    assert "NotImplementedError" in template
    body = exercise.source.partition('"""')[2].partition('"""')[2]
    assert body.strip().splitlines()[-1] not in template
    module = types.ModuleType("answers")
    exec(compile_template(template), module.__dict__)
    assert judge(exercise, module, Path("answers.py")).outcome == "unfinished"


def compile_template(text: str) -> types.CodeType:
    ast.parse(text)
    return compile(text, "answers.py", "exec", dont_inherit=True)


def flow_by_rows(x: Any, network: Any) -> Any:
    s, t = network(x[:, : x.shape[1] // 2])
    z = torch.cat([x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :] * s.exp() + t], 1)
    base = torch.distributions.Normal(0.0, 1.0)
    return [float(base.log_prob(row).sum() + scale.sum()) for row, scale in zip(z, s, strict=True)]


def by_precision(x_t: Any, x_0: Any, betas: Any, t: int) -> Any:
    before = math.prod(1 - beta for beta in betas[: t - 1].tolist())
    beta = float(betas[t - 1])
    variance = 1 / ((1 - beta) / beta + 1 / (1 - before))
    pull = math.sqrt(1 - beta) / beta * x_t + math.sqrt(before) / (1 - before) * x_0
    return [variance * pull, variance]


def score_by_gradient(x: Any, points: Any, sigma: float) -> Any:
    x = x.clone().requires_grad_()
    density = torch.exp(-((x[:, None] - points) ** 2).sum(2) / 2 / sigma**2).sum(1)
    density.log().sum().backward()
    return x.grad


def trapezoid(denoise: Any, x: Any, sigmas: list[float]) -> Any:
    x = x.double()
    for now, after in itertools.pairwise(sigmas):
        d = (x - denoise(x, now)) / now
        if after == 0:
            return denoise(x, now)
        ahead = x + (after - now) * d
        x = (
            0.5 * (x + ahead)
            + 0.5 * (after - now) * (ahead - denoise(ahead, after)) / after
            + (0.5 * (after - now) * d - 0.5 * (ahead - x))
        )
    return x


def with_scipy(a: Any, b: Any) -> Any:
    cov_a, cov_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).astype(complex) + 1e-9j
    means = a.numpy().mean(0) - b.numpy().mean(0)
    return means @ means + np.trace(cov_a + cov_b - 2 * root)


def numpy_kl(mu_1: Any, sigma_1: Any, mu_2: Any, sigma_2: Any) -> Any:
    m1, s1, m2, s2 = (np.asarray(value) for value in (mu_1, sigma_1, mu_2, sigma_2))
    return np.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5


def torch_elbo(x: Any, logits: Any, mu: Any, logvar: Any) -> Any:
    log_p = (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(1)
    return log_p - gaussian_kl(mu, logvar).sum(1)


def with_where(z: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    class Straight(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
            return e.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
            return gradients[0], None

    distances = (z[:, None] - codebook[None]).square().sum(2)
    return Straight.apply(z, codebook[distances.argmin(1)].detach())


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("0.2", numpy_kl),
        ("0.2", lambda a, b, c, d: numpy_kl(a, b, c, d).tolist()),
        ("0.3", lambda y, a, b: [_lognormal(float(v), a, b) for v in y]),
        ("1.2", torch_elbo),
        ("2.2", lambda log_w: log_mean_exp(log_w, 0)),
        ("3.2", with_where),
        ("4.3", lambda log_p, d: -(log_p / math.log(2) - 8 * d) / d),
        ("5.1", lambda x, e, b, t: torch.lerp(x, e, 0) * (1 - b[:t]).log().sum().div(2).exp()
            + e * (-torch.expm1((1 - b[:t]).log().sum())).sqrt()),
        ("8.2", lambda v, x, e, t: F.mse_loss(v(x + t[:, None] * (e - x), t), e - x)),
        ("8.2", lambda v, x, e, t: float(F.mse_loss(v(x + t[:, None] * (e - x), t), e - x))),
        ("9.2", lambda c, u, w: w * c + (1 - w) * u),
        ("9.2", lambda c, u, w: c + (w - 1) * (c - u)),
        ("4.2", flow_by_rows),
        ("5.3", by_precision),
        ("6.2", score_by_gradient),
        ("6.3", lambda x, s, b, dt, z: x * (1 + b * dt / 2) + b * dt * s + (b * dt) ** 0.5 * z),
        ("7.2", lambda n, low, high, rho: np.append(
            np.linspace(high ** (1 / rho), low ** (1 / rho), n) ** rho, 0.0)),
        ("7.3", trapezoid),
        ("10.2", with_scipy),
        ("10.3", lambda r, g, k: precision_recall(g.numpy(), r.numpy(), k)[0].value),
        ("10.2", lambda a, b: frechet(a.numpy(), b.numpy())),
    ],
)  # fmt: skip
def test_a_right_answer_in_another_form_is_right(number: str, answer: Any) -> None:
    assert judged(number, answer).outcome == "right", judged(number, answer).message


def _lognormal(y: float, a: float, b: float) -> float:
    z = (math.log(y) - b) / abs(a)
    return -z * z / 2 - math.log(y * abs(a) * math.sqrt(2 * math.pi))


def test_the_exercises_agree_with_the_library() -> None:
    """Conventions are those of the code that the lessons send to."""
    torch.manual_seed(0)
    betas = torch.linspace(0.01, 0.2, 8, dtype=torch.float64)
    bar = (1 - betas).cumprod(0)
    (a_t, s_t), (a_s, s_s) = ((bar[i].sqrt().item(), (1 - bar[i]).sqrt().item()) for i in (5, 4))
    k, c, variance = reverse_step(a_t, s_t, a_s, s_s)
    x, x_0 = torch.randn(2, 3, dtype=torch.float64)
    mean, ours = find("5.3").solution(x, x_0, betas, 6)
    assert torch.allclose(mean, k * x + c * x_0)
    assert float(ours) == pytest.approx(variance)

    levels = find("7.2").solution(6, *EDMPath().ratios, 7.0)
    assert torch.allclose(levels[:-1], torch.tensor(step_times(EDMPath(), 6, "karras")))

    quantiser = Quantiser(5, 3, 0.99, 0.0).eval()
    z = torch.randn(1, 3, 2, 2)
    flat = z.movedim(1, -1).flatten(0, 2)
    assert torch.allclose(
        find("3.2").solution(flat, quantiser.codebook()),
        quantiser(z).vectors.movedim(1, -1).flatten(0, 2),
    )


@pytest.mark.parametrize(
    ("number", "answer", "outcome", "message"),
    [
        ("0.2", lambda *a: None, "unfinished", "returns nothing"),
        ("0.2", lambda *a: "kl", "wrong", "a value of type str"),
        ("0.2", lambda *a: a[0] + 1j, "wrong", "complex"),
        ("0.2", lambda *a: a[0][:, None], "wrong", "the shape is [1, 1], but should be [1]"),
        ("0.2", lambda *a: a[0] * 0, "wrong", "mu_1=["),
        ("0.2", lambda *a: a[0] / 0, "wrong", "infinite values or NaN"),
        ("0.2", lambda *a: 3 * find("0.2").solution(*a), "wrong", "3 times the right one"),
        ("0.2", lambda *a: -find("0.2").solution(*a), "wrong", "the wrong sign"),
        ("0.2", lambda *a: (a[0], a[1]), "wrong", "one array or number"),
        ("0.2", lambda mu, sigma: mu, "wrong", "other arguments than gaussian_kl(mu_1"),
        ("0.2", 5, "missing", "defines no function `gaussian_kl`"),
        ("5.3", lambda x, x_0, b, t: x, "wrong", "must return 2 values"),
        ("5.3", lambda x, x_0, b, t: (x, b[0]), "wrong", "value 1 of 2"),
        ("7.3", lambda d, x, s: x, "wrong", "denoise=<function>"),
        ("3.2", lambda z, codebook: z[:2], "wrong", "but should be"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(number: str, answer: Any, outcome: str, message: str) -> None:
    result = judged(number, answer)
    assert result.outcome == outcome
    assert message in result.message


def test_an_answer_may_change_its_arguments() -> None:
    def changes(x: Any, score: Any, beta: float, dt: float, z: Any) -> Any:
        result = find("6.3").solution(x, score, beta, dt, z)
        for value in (x, score, z):
            value.zero_()
        return result

    assert judged("6.3", changes).outcome == "right"


def test_numbers_are_places_in_the_course_and_an_unknown_one_is_named() -> None:
    places = [exercise.place for exercise in exercises().values()]
    assert places == sorted(set(places))
    assert {lesson for lesson, _ in places} == set(range(11))
    with pytest.raises(GenLabError, match=r"no exercise 4\.9 .* 4\.2"):
        find("4.9")
