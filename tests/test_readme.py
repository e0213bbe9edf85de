"""What the READMEs and docs/ show is so: the graph of the rules, and the code of their examples."""

from __future__ import annotations

import importlib
import math
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from documents import missing_targets, targets
from oracles import PATHS, StreamNoise, ideal_denoiser, posterior_mean_of_points

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh.md"]
WORKFLOW = ["docs/workflow.md", "docs/zh/workflow.md"]
EXTENDING = "docs/extending.md"


def code_blocks(document: str) -> dict[str, str]:
    """The Python examples of a document by the path that their first comment names."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return dict(re.findall(r"```python\n# (src/[\w/]+\.py)\n(.*?)```", text, re.S))


@pytest.mark.parametrize("document", WORKFLOW)
def test_the_graph_is_that_of_the_rules(document: str, tmp_path: Path) -> None:
    """docs/graph.py, run on the project as it is, prints the block that the document holds."""
    command = [sys.executable, str(ROOT / "docs/graph.py")]
    tools = str(Path(sys.executable).parent)
    for part in ("Snakefile", "rules", "config", "profiles", "envs", "docs", "src"):
        (tmp_path / part).symlink_to(ROOT / part)
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert "train --> sample" in done.stdout
    assert done.stdout.strip() in (ROOT / document).read_text(encoding="utf-8")


def test_the_example_of_a_sampler_samples() -> None:
    """With an ideal denoiser of three points it ends at them, all of them."""
    module: dict[str, Any] = {}
    exec(code_blocks(EXTENDING)["src/genlab/samplers/renoise.py"], module)
    points = torch.eye(3, 16, dtype=torch.float64)
    denoiser = ideal_denoiser(posterior_mean_of_points(points), PATHS["cosine"], "v")
    *_, last = module["sample"](denoiser, StreamNoise(0, 50), (1, 4, 4), steps=20)
    distance, nearest = torch.cdist(last.x.flatten(1), points).min(dim=1)
    # At the last step, where sigma is small, the nearest point has all the weight.
    assert float(distance.max()) < 1e-6
    assert set(nearest.tolist()) == {0, 1, 2}


def test_the_example_of_a_model_learns_and_draws() -> None:
    """Of constant images its loss is least at their value, with as little noise as possible."""
    blocks = code_blocks(EXTENDING)
    declared: dict[str, Any] = {}
    written: dict[str, Any] = {}
    for folder, module in (("config/families", declared), ("models", written)):
        name = f"src/genlab/{folder}/pixelwise.py"
        exec(compile(blocks[name], name, "exec", dont_inherit=True), module)
    config = declared["PixelwiseConfig"]()
    assert config.implementation.partition(":")[2] == "Pixelwise"
    model = written["Pixelwise"](config, (1, 2, 2), 10)
    batch = SimpleNamespace(images=torch.full((8, 1, 2, 2), 0.5))
    before = float(model.loss(batch)["loss"])
    with torch.no_grad():
        model.mean.fill_(0.5)
        model.log_std.fill_(-3.0)
    assert float(model.loss(batch)["loss"]) < before
    samples = model.generate(StreamNoise(0, 4))
    assert samples.shape == (4, 1, 2, 2)
    assert float((samples - 0.5).abs().max()) < 5 * math.exp(-3)


def test_both_readmes_are_short_and_have_the_same_parts() -> None:
    texts = [(ROOT / readme).read_text(encoding="utf-8") for readme in READMES]
    assert all(len(text.splitlines()) <= 150 for text in texts)
    # Headings, tables, lists, commands and pictures: what their first three characters show
    shapes = [
        [
            re.sub(r"[^#|! -]", "", line[:3])
            for line in text.splitlines()
            if line.startswith(("#", "|", "- ", "    ", "!"))
        ]
        for text in texts
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("pages", [READMES, WORKFLOW, ["docs/pictures.md", "docs/zh/pictures.md"]])
def test_links_lead_to_files(pages: list[str]) -> None:
    for page in pages:
        assert targets(ROOT / page)
        assert missing_targets(ROOT / page) == []


def test_badges_say_what_the_metadata_say() -> None:
    module = runpy.run_path(str(ROOT / "docs/badges.py"))
    for path, content in module["badges"]().items():
        assert path.read_text(encoding="utf-8") == content
        assert all(path.name in (ROOT / readme).read_text(encoding="utf-8") for readme in READMES)


def test_links_of_chinese_pages_lead_to_chinese_pages() -> None:
    for page in (ROOT / "docs/zh").glob("*.md"):
        assert missing_targets(page) == []
        english = [target for target in targets(page) if target.parent == ROOT / "docs"]
        assert [target for target in english if (page.parent / target.name).exists()] == [], page


@pytest.mark.parametrize("name", ["evaluation", "faq", "glossary", "notebooks", "tracking"])
def test_a_chinese_page_has_the_parts_of_the_english_one(name: str) -> None:
    # Headings, rows of tables and lists
    parts = [
        re.findall(r"^(?:#+ |\||- )", (ROOT / folder / f"{name}.md").read_text("utf-8"), re.M)
        for folder in ("docs", "docs/zh")
    ]
    assert parts[0] == parts[1]


def test_both_readmes_show_the_same_example() -> None:
    blocks = []
    for readme in READMES:
        text = (ROOT / readme).read_text(encoding="utf-8")
        blocks.append(re.findall(r"```python\n(.*?)```", text, re.S))
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) == 1


@pytest.mark.parametrize("readme", READMES)
def test_the_example_of_the_library_runs(
    readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a smaller budget; the rest as it stands."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text("utf-8"), re.S)
    assert "64_000" in code
    small = {"images_seen": 1280, "batch_size": 64, "channels": 8, "features": 16}
    api = importlib.import_module("genlab.api")
    fit = api.fit
    monkeypatch.setattr(
        api, "fit", lambda name, data, **k: fit(name, data, **(small if name != "ddpm" else k))
    )
    names: dict[str, Any] = {}
    exec(code.replace("64_000", "640"), names)
    assert names["samples"].shape == (64, 1, 28, 28)
    assert (tmp_path / "ddpm.safetensors").exists()
