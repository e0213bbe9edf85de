"""Which of several GPUs a process takes. No GPU is needed: a card is a name until CUDA starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from genlab.config.study import TrainingConfig
from genlab.models import devices
from genlab.models.devices import claim_gpus

Claim = Callable[..., str | None]


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Claim]:
    """Claim a card with these environment variables; a card stays held until the test ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "_held", [])

    def claim_in(count: int = 1, /, **environment: str) -> str | None:
        for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "LOCAL_RANK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return claim_gpus(count)

    yield claim_in
    for lock in devices._held:
        lock.release()


@pytest.mark.parametrize("allocation", [{}, {"SLURM_JOB_ID": "17"}])
def test_each_process_takes_a_free_card_of_those_visible(
    allocation: dict[str, str], claim: Claim
) -> None:
    visible = {"CUDA_VISIBLE_DEVICES": "3, GPU-8932f937-d72c", **allocation}
    assert claim(**visible) == os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert claim(**visible) == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-8932f937-d72c"
    assert claim(**visible) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible["CUDA_VISIBLE_DEVICES"]


def test_without_a_choice_all_cards_of_the_machine_are_visible(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "cards", lambda: 2)
    assert [claim(), claim(), claim()] == ["0", "1", None]


def test_allocations_number_their_own_cards(claim: Claim) -> None:
    assert claim(CUDA_VISIBLE_DEVICES="0,1", SLURM_JOB_ID="17") == "0"
    assert claim(CUDA_VISIBLE_DEVICES="0,1", SLURM_JOB_ID="18") == "0"


def test_processes_that_share_a_training_take_as_many_cards_together(claim: Claim) -> None:
    visible = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4"}
    assert claim(2, **visible) == os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert claim(**visible) == "2"
    assert claim(3, **visible) is None  # two are free, and stay so
    assert claim(2, **visible) == "3,4"
    assert claim(2, CUDA_VISIBLE_DEVICES="7,8") == "7,8"  # nobody else may take one
    assert claim(CUDA_VISIBLE_DEVICES="7,8") is None


def test_parts_of_a_card_are_cards(claim: Claim) -> None:
    visible = "MIG-GPU-8932f937-d72c/1/0,MIG-GPU-8932f937-d72c/2/0"
    assert claim(CUDA_VISIBLE_DEVICES=visible) == "MIG-GPU-8932f937-d72c/1/0"
    assert claim(CUDA_VISIBLE_DEVICES=visible) == "MIG-GPU-8932f937-d72c/2/0"


@pytest.mark.parametrize(
    "environment",
    [
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "2,-1,3"},  # CUDA stops reading at -1
        {"CUDA_VISIBLE_DEVICES": "0,1", "LOCAL_RANK": "1"},
        {"SLURM_JOB_ID": "17"},
    ],
)
def test_where_there_is_nothing_to_choose_nothing_changes(
    environment: dict[str, str], claim: Claim, tmp_path: Path
) -> None:
    assert claim(**environment) is None
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == environment.get("CUDA_VISIBLE_DEVICES")
    assert not list(tmp_path.iterdir())


def test_a_killed_process_frees_its_card(claim: Claim, tmp_path: Path) -> None:
    code = "from genlab.models.devices import claim_gpus; print(claim_gpus(), flush=True); input()"
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(tmp_path)}
    for name in ("SLURM_JOB_ID", "LOCAL_RANK"):
        environment.pop(name, None)
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0\n"
        assert claim(CUDA_VISIBLE_DEVICES="0,1") == "1"
        holder.kill()
        holder.wait()
        assert claim(CUDA_VISIBLE_DEVICES="0,1") == "0"


def link(path: Path) -> None:
    path.symlink_to(path.parent)


def someone_elses(path: Path) -> None:
    path.mkdir()
    os.chown(path, 65534, 65534)


def folder_in_place_of_a_lock(path: Path) -> None:
    (path / "machine-gpu0.lock").mkdir(parents=True)


def link_in_place_of_a_lock(path: Path) -> None:
    path.mkdir()
    (path / "machine-gpu0.lock").symlink_to(path.parent / "target")


@pytest.mark.parametrize(
    "obstacle",
    [Path.touch, link, someone_elses, folder_in_place_of_a_lock, link_in_place_of_a_lock],
)
def test_locks_that_cannot_be_had_end_no_job(
    obstacle: Callable[[Path], None],
    claim: Claim,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if obstacle is someone_elses and os.getuid() != 0:
        pytest.skip("only root can make a folder of another user")
    obstacle(tmp_path / f"genlab-{os.getuid()}")
    assert claim(CUDA_VISIBLE_DEVICES="0,1") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: no GPU could be reserved, this job may share one")
    assert str(tmp_path) in warning
    assert not (tmp_path / "target").exists()


def test_no_file_of_another_user_is_in_the_way(claim: Claim, tmp_path: Path) -> None:
    (tmp_path / "genlab-gpu0.lock").mkdir()  # the lock's name where all users shared it
    assert claim(CUDA_VISIBLE_DEVICES="0,1") == "0"
    assert (tmp_path / f"genlab-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_gpu_computes_float32_in_full_and_the_same_in_every_call() -> None:
    """In a process of its own: the settings are those of a whole process."""
    code = """
import os, torch
from genlab.models.devices import allow_tf32, compute_exactly
assert torch.backends.cudnn.allow_tf32  # torch's default
compute_exactly()
assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
assert torch.are_deterministic_algorithms_enabled()
assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
allow_tf32()  # by training.tf32, until the next stage of this process
assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
compute_exactly()
assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_training_leaves_the_gpu_of_a_mac_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no float64."""
    from genlab.training.trainer import make_accelerator

    monkeypatch.setattr("accelerate.state.is_mps_available", lambda **_: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert make_accelerator("fp32", cpu=False).device.type == "cpu"


def test_a_cpu_computes_float32_in_full_whatever_a_gpu_may_do() -> None:
    from genlab.training.trainer import make_accelerator, training_precision

    accelerator = make_accelerator("fp32", cpu=True, tf32=True)
    assert torch.get_float32_matmul_precision() == "highest"
    assert training_precision(TrainingConfig(tf32=True), accelerator) == "fp32"
