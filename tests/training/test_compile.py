"""`compile: true`: PyTorch captures the loss of every family as one graph."""

from __future__ import annotations

import pytest
import torch
from small_models import SMALL, small_training


@pytest.mark.parametrize("family", SMALL)
def test_the_loss_is_one_graph_and_the_same_number(family: str) -> None:
    """In training, in the first step, where codebooks and ActNorm are initialised.

    `fullgraph` raises at anything that would have to leave the graph, such as the value of a
    tensor. The backend `eager` computes the graph without generating code.
    """
    values = {}
    for compiled in (False, True):
        training = small_training(family)
        loss = training.model.loss
        if compiled:
            loss = torch.compile(loss, fullgraph=True, backend="eager")
        torch.manual_seed(0)
        values[compiled] = loss(training.batches[0])
    torch._dynamo.reset()
    torch.testing.assert_close(values[True], values[False], rtol=0, atol=0)
