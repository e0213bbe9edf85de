"""`precision: auto` is what the processor has instructions for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genlab.config.base import Precision
from genlab.config.samplers import SAMPLERS, SteppedSampler
from genlab.config.study import load_sampler
from genlab.errors import ConfigError
from genlab.models.devices import has_bf16, resolve_precision
from genlab.sampling.draw import precision_of
from genlab.training.trainer import make_accelerator


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_bf16 sse4_2", True),
        ("fpu avx512f amx_bf16", True),
        ("fp asimd bf16 i8mm", True),
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx512_bf16_not", False),
    ],
)
def test_the_flags_of_the_processor_decide(flags: str, expected: bool, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    assert has_bf16(cuda=False, cpuinfo=info) is expected


def test_a_system_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert not has_bf16(cuda=False, cpuinfo=tmp_path / "missing")


def test_what_is_asked_for_is_done() -> None:
    assert resolve_precision("fp32", cuda=False) == "fp32"
    assert resolve_precision("bf16", cuda=False) == "bf16"
    assert resolve_precision("auto", cuda=False) == ("bf16" if has_bf16(cuda=False) else "fp32")


@pytest.mark.parametrize(
    ("requested", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_it_reaches_the_layers(requested: Precision, dtype: torch.dtype) -> None:
    with make_accelerator(requested, cpu=True).autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_samplers_of_fixed_steps_may_compute_in_bfloat16_and_adaptive_ones_never() -> None:
    best = "bf16" if has_bf16(cuda=False) else "fp32"
    for kind in SAMPLERS.values():
        stepped = issubclass(kind, SteppedSampler)
        assert precision_of(kind(), "cpu") == (best if stepped else "fp32")
        if stepped:
            assert precision_of(kind(precision="bf16"), "cpu") == "bf16"
            assert precision_of(kind(precision="fp32"), "cpu") == "fp32"
    with pytest.raises(ConfigError, match="unknown key 'precision'"):
        load_sampler({"sampler": "dopri5", "precision": "bf16"}, "samplers.adaptive")
