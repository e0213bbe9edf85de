"""The judge: a loss that is a sum over factors, shares right, and that it learns."""

from __future__ import annotations

import pytest
import torch

from genlab.config.families.judge import JudgeConfig
from genlab.models.base import Batch, Facts, build_model
from genlab.models.judge import Judge

SHAPE = (1, 8, 8)
FACTORS = {"digit": 4, "colour": 3, "second digit": 2}
CONFIG = JudgeConfig(channels=4, features=16)


def batch_of(n: int) -> Batch:
    columns = [torch.randint(values, (n,)) for values in FACTORS.values()]
    return Batch(torch.rand(n, *SHAPE), columns[0], factors=torch.stack(columns, dim=1))


@torch.no_grad()
def test_the_loss_is_the_sum_over_factors_of_their_mean_log_probability() -> None:
    judge, batch = Judge(CONFIG, SHAPE, 4, FACTORS).eval(), batch_of(9)
    assert batch.factors is not None
    values, logits = judge.loss(batch), judge.logits(batch.images)
    assert {name: part.shape for name, part in logits.items()} == {
        name: (9, values) for name, values in FACTORS.items()
    }
    loss, hits = 0.0, []
    for part, column in zip(logits.values(), batch.factors.T.tolist(), strict=True):
        p = part.double().softmax(dim=1)
        loss -= sum(float(p[i, value].log()) for i, value in enumerate(column)) / 9
        hits.append([int(p[i].argmax()) == value for i, value in enumerate(column)])
    assert float(values["loss"]) == pytest.approx(loss, rel=1e-5)  # float32
    for name, of_factor in zip(FACTORS, hits, strict=True):
        assert float(values[f"accuracy/{name}"]) == pytest.approx(sum(of_factor) / 9)
    of_all = sum(all(one) for one in zip(*hits, strict=True))
    assert float(values["accuracy/all"]) == pytest.approx(of_all / 9)
    predicted = judge.predict(batch.images)
    assert (predicted == batch.factors).T.tolist() == hits


def test_where_no_factors_are_known_it_tells_classes() -> None:
    manifest = {"shape": [1, 8, 8], "classes": ["a", "b"], "text": {"vocabulary": 9, "length": 2}}
    judge = build_model(CONFIG, Facts.of(manifest), seed=0)
    assert isinstance(judge, Judge)
    assert judge.factors == {"class": 2}
    batch = Batch(torch.rand(3, *SHAPE), torch.zeros(3), factors=torch.tensor([[0], [1], [1]]))
    assert set(judge.loss(batch)) == {"loss", "accuracy/class", "accuracy/all"}


def test_it_learns_a_small_set_by_heart() -> None:
    """Images of noise with random factors: nothing but memory can get all of them right."""
    judge = Judge(JudgeConfig(channels=8, features=32), SHAPE, 4, FACTORS)
    batch = batch_of(16)
    optimizer = torch.optim.Adam(judge.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        judge(batch)["loss"].backward()
        optimizer.step()
    judge.eval()
    with torch.no_grad():
        assert float(judge.loss(batch)["accuracy/all"]) == 1


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12), (1, 28, 28), (3, 32, 32)])
def test_pictures_of_any_side_are_judged_each_by_itself(shape: tuple[int, int, int]) -> None:
    judge = Judge(CONFIG, shape, 4, FACTORS).eval()
    images = torch.rand(5, *shape)
    alone, together = judge.logits(images[:1]), judge.logits(images)
    for name, part in alone.items():  # another batch may sum in another order, in float32
        torch.testing.assert_close(part, together[name][:1], rtol=0, atol=1e-5)
