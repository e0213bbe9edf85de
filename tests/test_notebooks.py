"""Notebooks run from top to bottom on any run of their family, and are kept with their output."""

from __future__ import annotations

import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image
from tiny import make_study

from genlab.app.notebook import open_run, show
from genlab.errors import GenLabError
from genlab.results.layout import RunFolder, StudyFolder
from genlab.workflow.train import train

FOLDER = Path(__file__).parents[1] / "notebooks"
SOLUTIONS = FOLDER.parent / "docs/solutions"
NETWORK = {"channels": 8, "multipliers": [1], "attention": []}
TEXT = {"text": True, "text_width": 8, "text_layers": 1, "text_heads": 2}
TRANSFORMER = {"width": 8, "layers": 1, "heads": 2}
MODELS: dict[str, dict[str, Any]] = {  # a tiny model of every family that has a notebook
    "vae": {"latent": 3, "channels": 4},
    "beta_vae": {"latent": 10, "channels": 4, "hidden": 8},
    "vqvae": {"codes": 8, "latent": 4, "channels": 4},
    "code_prior": TRANSFORMER,
    "glow": {"steps": [1, 1], "hidden": 4, "global_steps": 1, "global_hidden": 8},
    "ddpm": {"timesteps": 50, "network": NETWORK},
    "score_sde": {"network": NETWORK},
    "edm": {"network": NETWORK},
    "flow_matching": {"network": NETWORK},
    "latent_diffusion": {"timesteps": 50, "network": NETWORK | {"head_channels": 4}, **TEXT},
    "dalle": TRANSFORMER,
}
FIRST = ("vqvae", "kl_autoencoder")  # stages, which others build on


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def parameters(notebook: NotebookNode) -> NotebookNode:
    """The cell that says which run, tagged as papermill has it."""
    (cell,) = tagged(notebook, "parameters")
    return cell


def shorten(notebook: NotebookNode) -> None:
    """Three steps for the training from scratch, in the cell tagged `training`."""
    for cell in tagged(notebook, "training"):
        assert re.fullmatch(r"STEPS = \d+", cell.source)
        cell.source = "STEPS = 3"


def solutions(family: str) -> list[NotebookNode]:
    """The code of its solutions, as cells that continue the notebook."""
    text = (SOLUTIONS / f"{family}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    return [nbformat.v4.new_code_cell(block) for block in blocks]


def said(cell: NotebookNode) -> str:
    """What a cell printed or ended with, as text."""
    return "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> StudyFolder:
    """Two steps of training for a model of each family, and for the CLIP beside them."""
    models = [{"preset": name, **values} for name, values in MODELS.items()]
    models.append({"preset": "kl_autoencoder", "channels": 4, "latent": 2})
    changes = {
        "models": models,
        "training": {"images": 64},
        "evaluation": {"classifier": {"images": 64}},
        "prompts": {
            "prompts": 2,
            "candidates": 2,
            "guidance": [1],
            "shown": 1,
            "clip": {"images": 64},
        },
        "samplers": {"tokens": {"sampler": "tokens"}},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        at = make_study(tmp_path_factory.mktemp("notebooks") / "results", tiny_config, changes)
        for name in (*FIRST, *(name for name in MODELS if name not in FIRST)):
            train(at.run("stripes", name, 0), cpu=True)
        train(at.clip("stripes"), cpu=True)
    return at


def test_every_family_that_is_trained_here_has_its_notebook() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(MODELS)


@pytest.mark.parametrize("family", MODELS)
def test_it_runs_on_another_run(trained: StudyFolder, family: str) -> None:
    """In a kernel of its own, with another run, fewer steps from scratch, and its solutions."""
    notebook = nbformat.read(FOLDER / f"{family}.ipynb", as_version=4)
    parameters(notebook).source = f'RUN = "{trained.run("stripes", family, 0).folder}"'
    shorten(notebook)
    notebook.cells += solutions(family)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    shown = [
        o for cell in code_of(notebook) for o in cell.outputs if "image/png" in o.get("data", {})
    ]
    assert len(shown) >= 4
    check_claims(notebook)


def check_claims(notebook: NotebookNode) -> None:
    """Where a cell ends with a largest difference or says that two things agree, they do."""
    for cell in code_of(notebook):
        if cell.source.rstrip().endswith(".abs().max()"):
            (number,) = re.findall(r"tensor\(([^,)]+)", said(cell))
            # The same numbers summed in two ways: float32 near 1, or float64
            assert float(number) < 1e-4, cell.source
        if cell.source.rstrip().endswith(".all()"):
            assert "True" in said(cell), cell.source


@pytest.mark.parametrize("family", MODELS)
def test_it_trains_from_scratch_before_it_opens_a_run(family: str) -> None:
    """Without a model class of GenLab; the picture of the loss and of what was learned are kept."""
    notebook = nbformat.read(FOLDER / f"{family}.ipynb", as_version=4)
    first = notebook.cells[: notebook.cells.index(parameters(notebook))]
    assert tagged(notebook, "training")[0] in first
    code = [cell for cell in first if cell.cell_type == "code"]
    imported = re.findall(r"^(?:from|import) (genlab\S*)", "\n".join(c.source for c in code), re.M)
    assert set(imported) <= {"genlab"}  # for `genlab.load_data`
    assert sum("image/png" in o.get("data", {}) for cell in code for o in cell.outputs) >= 2


@pytest.mark.parametrize("family", MODELS)
def test_every_picture_is_followed_by_words(family: str) -> None:
    notebook = nbformat.read(FOLDER / f"{family}.ipynb", as_version=4)
    for cell, following in pairwise(notebook.cells):
        if any("image/png" in o.get("data", {}) for o in cell.get("outputs", [])):
            assert following.cell_type == "markdown", cell.source


def test_every_notebook_with_exercises_from_scratch_links_its_solutions() -> None:
    assert {path.stem for path in SOLUTIONS.glob("*.md")} == set(MODELS)
    for family in MODELS:
        notebook = nbformat.read(FOLDER / f"{family}.ipynb", as_version=4)
        assert f"](../docs/solutions/{family}.md)" in notebook.cells[-1].source


@pytest.mark.parametrize("family", MODELS)
def test_it_is_kept_with_what_it_shows_of_the_default_study(family: str) -> None:
    notebook = nbformat.read(FOLDER / f"{family}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert re.fullmatch(
        r'RUN = "\.\./results/default/digits/[\w-]+/seed0"', parameters(notebook).source
    )
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"display_data", "execute_result", "stream"}  # no error
    assert all(o.name == "stdout" for c in cells for o in c.outputs if o.output_type == "stream")
    check_claims(notebook)
    text = (FOLDER / f"{family}.ipynb").read_text(encoding="utf-8")
    assert "/home/" not in text and str(FOLDER.parent) not in text


def test_files_that_it_names_are_there() -> None:
    root = FOLDER.parent
    for path in FOLDER.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        named = re.findall(r"`((?:src|config)/[\w/.-]+|\w+\.ipynb)`", text)
        assert named, path
        for name in named:
            assert (root / name).exists() or (FOLDER / name).exists(), f"{path}: {name}"


def test_a_run_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(GenLabError, match=r"ddpm/seed0: no trained model; the runs"):
        open_run(tmp_path / "results/default/digits/ddpm/seed0")


def test_a_notebook_shows_no_more_of_that_than_the_words(tmp_path: Path) -> None:
    lines = ["from genlab.app.notebook import open_run", 'open_run("default/digits/ddpm/seed0")']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(lines))])
    client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(CellExecutionError):
        client.execute()
    (shown,) = notebook.cells[0].outputs
    (line,) = shown.traceback
    assert line.startswith(f"error: {tmp_path}/default/digits/ddpm/seed0: no trained model; the")


def test_a_run_is_opened_with_its_data(trained: StudyFolder) -> None:
    run = open_run(trained.run("stripes", "dalle", 0).folder)
    assert run.folder == RunFolder(trained.folder / "stripes/dalle/seed0")
    assert not run.model.training
    batch = run.batch(1000)
    assert batch.images.shape == (64, 1, 8, 8)  # as many as there are
    assert batch.tokens is not None and len(batch.tokens) == 64
    assert run.batch(6).labels.tolist() == [0, 1, 0, 1, 0, 1]  # of each class in turn
    texts, tokens = run.captions(2)
    assert len(texts) == len(tokens) == 2 and tokens.dtype == torch.int64


def test_pictures_are_shown_in_rows_of_their_names() -> None:
    images = torch.rand(6, 3, 8, 8)
    whole = Image.open(BytesIO(show(images, columns=3, side=16).data))
    rows = Image.open(BytesIO(show({"above": images[:3], "below": images[3:]}, side=16).data))
    assert whole.size == (2 * 28, 2 * 19)
    assert rows.height == whole.height and rows.width > whole.width
    names = rows.width - whole.width
    assert rows.crop((names, 0, *rows.size)).tobytes() == whole.tobytes()
