"""Several processes share each batch."""

from __future__ import annotations

import pytest
from small_models import make_training

from genlab.errors import GenLabError
from genlab.training.trainer import make_accelerator


def test_shares_of_different_sizes_are_refused() -> None:
    """The mean of means over them would not be the mean over the batch."""
    accelerator = make_accelerator("fp32", cpu=True)
    accelerator.state.num_processes = 3
    with pytest.raises(GenLabError, match=r"training.batch_size: 16 .* by 3 processes"):
        make_training("vae", accelerator)
    assert make_training("vae", accelerator, batch_size=15).batches.part == (0, 3)
