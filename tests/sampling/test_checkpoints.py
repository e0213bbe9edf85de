"""Weights that are not what they should be are refused with a clear word, and never unpickled.

The final weights, which sampling loads, and the resume point, which training goes on from.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors import safe_open
from traps import Trap

from genlab.errors import GenLabError
from genlab.io.files import sha256
from genlab.models.base import Facts, build_model
from genlab.models.ddpm import DDPM
from genlab.models.store import load_model, read_tensors, write_tensors
from genlab.models.vae import VAE
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import run_origin
from genlab.results.spec import read_run
from genlab.results.stages import training_code
from genlab.training import resume
from genlab.workflow.models import load_trained


class Checkpoint(NamedTuple):
    """A file of weights, and what loads it."""

    path: Path
    load: Callable[[], object]


def final_weights(run: RunFolder) -> Checkpoint:
    return Checkpoint(run.weights, lambda: load_trained(run))


def resume_point(run: RunFolder) -> Checkpoint:
    """A resume point after one step of training on nothing in particular."""
    spec = read_run(run.config)
    model = build_model(spec.model, Facts((1, 8, 8), 2), seed=0)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.square().sum() for parameter in model.parameters()).backward()
    optimizer.step()
    tensors = resume.contents(model, ema, [optimizer])
    checkpoint = resume.Checkpoint(run.resume / "it.safetensors", "it")
    resume.save(checkpoint, resume.Progress(1, 2.0), tensors)

    def load() -> object:
        return resume.restore(checkpoint, model, ema, [optimizer])

    return Checkpoint(checkpoint.path, load)


@pytest.fixture(params=[final_weights, resume_point])
def checkpoint(request: pytest.FixtureRequest, trained_study: StudyFolder) -> Checkpoint:
    """Both kinds of file, of the tiny DDPM; each loads as it is."""
    found: Checkpoint = request.param(trained_study.run("stripes", "ddpm", 0))
    assert found.load() is not None
    return found


def test_a_truncated_file_is_refused(checkpoint: Checkpoint) -> None:
    whole = checkpoint.path.read_bytes()
    for content in (whole[:-1], whole[:100], whole[:4], b""):
        checkpoint.path.write_bytes(content)
        with pytest.raises(GenLabError, match="not a complete safetensors file") as caught:
            checkpoint.load()
        assert str(caught.value).startswith(f"{checkpoint.path}: ")


@pytest.mark.parametrize(
    "save", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
def test_a_pickle_in_its_place_is_refused_and_not_unpickled(
    checkpoint: Checkpoint, save: Callable[[object, Path], object], tmp_path: Path
) -> None:
    save({"weights": Trap(tmp_path / "sprung")}, checkpoint.path)
    with pytest.raises(GenLabError, match="it is neither loaded nor unpickled"):
        checkpoint.load()
    assert not (tmp_path / "sprung").exists()


def test_the_trap_would_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above relies on: whoever unpickles a trap creates the file."""
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "trap")
    torch.load(tmp_path / "trap", weights_only=False)
    assert (tmp_path / "sprung").exists()


def edited(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Rewrite a safetensors file with its tensors changed and its metadata kept."""
    tensors, metadata = read_tensors(path)
    change(tensors)
    write_tensors(path, tensors, metadata)


@pytest.mark.parametrize("change", ["another shape", "one too few", "one too many"])
def test_weights_of_another_architecture_are_refused(checkpoint: Checkpoint, change: str) -> None:
    def alter(tensors: dict[str, torch.Tensor]) -> None:
        for kind in ("raw.", "ema."):
            name = next(n for n in sorted(tensors) if n.startswith(f"{kind}network."))
            if change == "another shape":
                tensors[name] = torch.zeros(3)
            elif change == "one too few":
                del tensors[name]
            else:
                tensors[f"{kind}network.surplus"] = torch.zeros(3)

    edited(checkpoint.path, alter)
    with pytest.raises(GenLabError, match="weights of another architecture: 'network") as caught:
        checkpoint.load()
    assert str(caught.value).startswith(f"{checkpoint.path}: ")
    assert "don't fit a DDPM of this configuration; train again" in str(caught.value)


def test_weights_of_another_run_are_refused(trained_study: StudyFolder) -> None:
    """The VAE's weights under the DDPM's name, as by a wrong copy."""
    run, other = (trained_study.run("stripes", model, 0) for model in ("ddpm", "vae"))
    run.weights.write_bytes(other.weights.read_bytes())
    assert isinstance(load_trained(run), VAE)
    with pytest.raises(GenLabError, match="made from another version of the study"):
        load_trained(run, origin=run_origin(run))


def test_a_resume_point_that_names_no_step_is_refused(trained_study: StudyFolder) -> None:
    path, load = resume_point(trained_study.run("stripes", "ddpm", 0))
    tensors, _ = read_tensors(path)
    write_tensors(path, tensors, {"step": "three"})
    with pytest.raises(GenLabError, match="not a checkpoint of a training; delete it"):
        load()


def test_a_checkpoint_of_another_training_is_refused(trained_study: StudyFolder) -> None:
    path, load = resume_point(trained_study.run("stripes", "ddpm", 0))
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | {"point": "another"})
    with pytest.raises(GenLabError, match="the checkpoint of another training"):
        load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "doesn't say which model it holds; train again"),
        ("{}", "doesn't say which model it holds; train again"),
        ("[]", "doesn't say which model it holds; train again"),
        ('{"stages": [{"family": "vaee"}], "facts": {}}', "family 'vaee'"),
    ],
)
def test_a_wrong_description_of_the_model_is_refused(
    content: str, message: str, trained_study: StudyFolder
) -> None:
    path = trained_study.run("stripes", "vae", 0).weights
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | {"architecture": content})
    with pytest.raises(GenLabError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_the_command_line_says_so_without_a_traceback(
    trained_study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    row = trained_study.run("stripes", "vae", 0).samples("prior")
    row.run.weights.unlink()
    ended = genlab("sample", "--config", row.config)
    assert ended.status == 1
    assert ended.err == (f"error: {row.run.weights}: no such file; run `genlab train` first\n")


def test_a_damaged_resume_point_stops_the_training(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any]
) -> None:
    """It is named rather than passed over: hours of work may be in it."""
    run = tiny_study().run("stripes", "vae", 0)
    spec, data = read_run(run.config), sha256(run.data.manifest)[:16]
    path = run.resume / f"{spec.digest}-{training_code(spec)}-{data}-fp32.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    ended = genlab("train", "--config", run.config, "--gpus", 0)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {path}: not a complete")
    assert not run.weights.exists()


def test_a_file_of_weights_is_all_it_takes(trained_study: StudyFolder, tmp_path: Path) -> None:
    """It can be copied elsewhere: neither the study nor the data is needed to load it."""
    path = tmp_path / "elsewhere.safetensors"
    trained_study.run("stripes", "ddpm", 0).weights.rename(path)
    model = load_model(path)
    assert isinstance(model, DDPM)
    assert model.shape == (1, 8, 8)
    # The averaged weights are the ones that are used.
    with safe_open(path, framework="pt") as file:
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, file.get_tensor(f"ema.{name}"))
