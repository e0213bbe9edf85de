"""A file is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from traps import Trap

from genlab.data.pictures import save_grid
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array, write_array
from genlab.io.files import read_json, replacing, write_json, write_text
from genlab.io.history import append_history
from genlab.models.store import read_tensors, write_tensors
from genlab.results.layout import RunFolder
from genlab.workflow.train import only_trainer

NOBODY = 65534
LARGE = np.random.default_rng(0).integers(0, 256, (400, 1, 64, 64), np.uint8)  # 1.6 MB of noise


def fill(path: Path) -> None:
    """Write the large array block by block, as the samples are."""
    with array_writer(path, LARGE.shape, "uint8") as array:
        for i, image in enumerate(LARGE):
            array[i] = image


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "x" * LARGE.size),
    "json": lambda path: write_json(path, "x" * LARGE.size),
    "array": lambda path: write_array(path, LARGE),
    "array, block by block": fill,
    "tensors": lambda path: write_tensors(path, {"x": torch.from_numpy(LARGE)}, {}),
    "grid": lambda path: save_grid(path, LARGE, columns=20),
}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS.keys())
def write(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Every way in which the stages write a large file."""
    writer: Callable[[Path], None] = request.param
    return writer


@contextlib.contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """A file system of 256 kB on `folder`."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no permission to mount a small disk; the limit on file sizes is tried instead")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def small_files(folder: Path) -> Iterator[None]:
    """A limit of 256 kB on the files of this process: a write beyond fails in its midst."""
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [tiny_disk, small_files])
@pytest.mark.parametrize("old", [None, b"the version before"], ids=["new", "old"])
def test_a_full_disk_leaves_no_part_of_a_file(
    write: Callable[[Path], None],
    limit: Callable[[Path], contextlib.AbstractContextManager[None]],
    old: bytes | None,
    tmp_path: Path,
) -> None:
    """The name keeps its old content or stays absent, and no temporary file is left behind."""
    folder = tmp_path / "disk"
    path = folder / "file"
    with limit(folder):
        if old is not None:
            path.write_bytes(old)
        with pytest.raises(GenLabError) as caught:
            write(path)
        assert str(caught.value).startswith(f"{path}: ")
        if limit is tiny_disk:
            full = ("the disk is full; free some space", "free some space, or ask for fewer")
            assert any(said in str(caught.value) for said in full)
        else:
            assert "can't be written: " in str(caught.value)
            assert "File too large" in str(caught.value)
        assert [p.name for p in folder.iterdir()] == ([] if old is None else ["file"])
        assert old is None or path.read_bytes() == old


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_mode_of_a_file_follows_the_umask(
    write: Callable[[Path], None], umask: int, mode: int, tmp_path: Path
) -> None:
    """Safetensors writes for the owner alone, whatever the umask."""
    before = os.umask(umask)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_history_on_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    rows = [{"step": float(i), "loss": 1.0} for i in range(20_000)]
    with small_files(tmp_path / "disk"), pytest.raises(GenLabError, match="can't be written: File"):
        append_history(tmp_path / "disk/history.jsonl", rows)


def test_more_samples_than_fit_are_refused_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    begun = False
    with (
        pytest.raises(GenLabError) as caught,
        array_writer(tmp_path / "x.npy", (400, 3, 32, 32), "uint8"),
    ):
        begun = True
    assert str(caught.value) == (
        f"{tmp_path}/x.npy: 400 images need 0.00123 GB, but the disk has only 0.001 GB left; "
        "free some space, or ask for fewer images"
    )
    assert not begun
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Whoever runs the tests may read `folder`, but not write there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    if os.geteuid() == 0:  # root may write anywhere
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o755)


@pytest.fixture
def open_path(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder that everybody can enter, which pytest's own is not."""
    parents = [p for p in (tmp_path, *tmp_path.parents) if p.stat().st_uid == os.getuid()]
    modes = {p: p.stat().st_mode for p in parents if p != Path("/")}
    for path, mode in modes.items():
        path.chmod(mode | 0o555)
    yield tmp_path
    for path, mode in modes.items():
        path.chmod(mode)


def test_a_folder_without_permission_is_an_error_of_one_line(
    write: Callable[[Path], None], open_path: Path
) -> None:
    folder = open_path / "theirs"
    with unprivileged(folder), pytest.raises(GenLabError) as caught:
        write(folder / "file")
    message = str(caught.value)
    assert message.startswith(f"{folder}/file: ")
    assert "no permission to write here" in message or "Permission denied" in message
    assert list(folder.iterdir()) == []


def test_a_new_folder_within_one_without_permission_as_well(
    write: Callable[[Path], None], open_path: Path
) -> None:
    with (
        unprivileged(open_path / "theirs"),
        pytest.raises(GenLabError, match="theirs/new/file: no permission to write here"),
    ):
        write(open_path / "theirs/new/file")


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "array": (read_array, "no permission to read it"),
    "tensors": (read_tensors, "no permission to read it"),
    "json": (read_json, "can't be read: Permission denied"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_may_not_be_read_is_not_taken_for_a_missing_one(
    kind: str, open_path: Path
) -> None:
    read, message = READERS[kind]
    folder = open_path / "theirs"
    folder.mkdir()
    path = folder / "file"
    WRITERS[kind](path)
    path.chmod(0o000)
    with unprivileged(folder), pytest.raises(GenLabError, match=f"theirs/file: {message}"):
        read(path)


def test_a_run_s_folder_without_permission_is_refused_before_training(open_path: Path) -> None:
    run = RunFolder(open_path / "theirs")
    with (
        unprivileged(run.folder),
        pytest.raises(GenLabError, match="resume: can't be written: Permission denied"),
        only_trainer(run),
    ):
        pytest.fail("training began")


def test_a_file_in_the_place_of_a_folder_is_named(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(GenLabError, match="model/weights: can't be written: "):
        write(tmp_path / "model/weights")
    assert (tmp_path / "model").read_text() == "a file"


def test_what_fails_for_another_reason_leaves_nothing_either(tmp_path: Path) -> None:
    def interrupted() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_array_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for array in (LARGE, LARGE[:, :, ::2], np.arange(5), np.zeros((0, 1, 4, 4), np.uint8)):
        write_array(tmp_path / "x.npy", array)
        again = read_array(tmp_path / "x.npy")
        assert again.dtype == array.dtype
        assert np.array_equal(again, array)
        assert not again.flags.writeable


def test_a_damaged_array_is_named_and_a_pickled_one_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    write_array(path, LARGE)
    whole = path.read_bytes()
    np.save(tmp_path / "trap.npy", np.array([Trap(tmp_path / "sprung")], dtype=object))
    for content in (whole[:-1], whole[:10], b"", b"no array", (tmp_path / "trap.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(GenLabError, match=r"x\.npy: not a readable \.npy array"):
            read_array(path)
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(GenLabError, match=r"gone\.npy: no such file; run the stage"):
        read_array(tmp_path / "gone.npy")


def test_json_is_strict(tmp_path: Path) -> None:
    """Infinity is no JSON; a cut or missing file is named."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"fid": float("inf")})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.json").write_text('{"fid": 1')
    with pytest.raises(GenLabError, match=r"x\.json: not valid JSON .*; delete it and run again"):
        read_json(tmp_path / "x.json")
    with pytest.raises(GenLabError, match=r"gone\.json: no such file; run the stage"):
        read_json(tmp_path / "gone.json")
