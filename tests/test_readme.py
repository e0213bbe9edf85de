"""What the READMEs show is so: the graph of the rules, and the code of their examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise
from genlab.processes.schedules import cosine_betas
from genlab.samplers import find

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh.md"]


def code_blocks(readme: str) -> dict[str, str]:
    """The Python examples of a README by the path that their first comment names."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# (?:in |在 )?(src/[\w/]+\.py)[^\n]*\n(.*?)```", text, re.S)
    return dict(blocks)


@pytest.mark.parametrize("readme", READMES)
def test_the_graph_is_that_of_the_rules(readme: str, tmp_path: Path) -> None:
    """docs/graph.py, run on the project as it is, prints the block that the README holds."""
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
    assert done.stdout.strip() in (ROOT / readme).read_text(encoding="utf-8")


@pytest.mark.parametrize("readme", READMES)
def test_the_example_of_a_sampler_samples(readme: str) -> None:
    """The README's Euler sampler is DDIM without noise, step by step."""
    module: dict[str, object] = {}
    exec(code_blocks(readme)["src/genlab/samplers/euler.py"], module)
    alpha_bar = torch.cumprod(1 - cosine_betas(100), dim=0)

    def states(sampler: object) -> list[torch.Tensor]:
        denoiser = Denoiser(lambda x, t: torch.tanh(x + t[0] / 1000), alpha_bar, "v")
        noise = SampleNoise(0, range(3))
        return [step.x for step in sampler(denoiser, noise, (1, 4, 4), steps=10)]  # type: ignore[operator]

    for own, ddim in zip(states(module["sample"]), states(find("ddim")), strict=True):
        # The same formula in another order of operations: a few roundings of float32 apart.
        torch.testing.assert_close(own, ddim, atol=1e-5, rtol=0)


def test_both_readmes_show_the_same_examples() -> None:
    """The translation's code is the original's, but for comments and docstrings."""

    def bare(readme: str) -> list[str]:
        blocks = code_blocks(readme).values()
        return [re.sub(r'""".*?"""', "", block, flags=re.S) for block in blocks]

    assert len(bare("README.md")) == 4
    assert bare("README.md") == bare("README.zh.md")
