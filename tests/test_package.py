"""`pip install .`: the sdist, the wheel made of it, and the installed package outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "config", "src")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-index", "--no-deps")
READS_A_PRESET = """
from pathlib import Path
import genlab
from genlab.config.study import load_model
package = Path(genlab.__file__).parent
print(package)
print(load_model("ddpm", {}, package / "presets", "test").model.family)
"""
USES_THE_API = """
import genlab
digits = genlab.load_data("digits")
model = genlab.fit("vae-bernoulli", digits, images_seen=640, seed=0)
samples = genlab.sample(model, "prior", n=4)
print(samples.dtype, *samples.shape)
"""


def call(*command: str | Path, folder: Path, path: Path | None = None) -> str:
    """What `command` prints in `folder`, with `path` as the only additional place of packages."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made of the sdist of a copy of the tree."""
    folder = tmp_path_factory.mktemp("package")
    tree = folder / "tree"
    tree.mkdir()
    without = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, symlinks=True, ignore=without)
        else:
            shutil.copy2(ROOT / part, tree / part)
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    call(sys.executable, "-c", build, folder=tree)
    (sdist,) = folder.glob("genlab-*.tar.gz")
    call(*PIP, "wheel", *OFFLINE, "--no-build-isolation", sdist, folder=folder)
    (built,) = folder.glob("genlab-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    call(*PIP, "install", *OFFLINE, "--target", folder, wheel, folder=folder)
    return folder


def test_the_wheel_holds_every_file_that_the_package_reads(wheel: Path) -> None:
    """All modules, templates and page files of the tree, and all presets."""
    package = ROOT / "src/genlab"
    read = [*package.rglob("*.py"), *package.glob("report/**/*.[cj]*"), package / "py.typed"]
    read += [*package.glob("presets/*/*.yaml")]
    names = {
        str(path.relative_to(ROOT / "src")) for path in read if "__pycache__" not in path.parts
    }
    names = {name for name in names if not name.startswith("genlab/presets/studies/")}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("genlab/")}
    assert {"genlab/presets/models/vae.yaml", "genlab/report/page.css"} < names
    assert packed == names


def test_the_command_works_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    command = installed / "bin/genlab"
    assert "Train, sample, measure" in call(command, "--help", folder=tmp_path, path=installed)
    lessons = call(command, "check", folder=tmp_path, path=installed)
    assert "5.1" in lessons


def test_the_library_works_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    printed = call(sys.executable, "-c", READS_A_PRESET, folder=tmp_path, path=installed)
    assert printed.split() == [str(installed / "genlab"), "ddpm"]
    printed = call(sys.executable, "-c", USES_THE_API, folder=tmp_path, path=installed)
    assert printed.split() == ["torch.uint8", "4", "1", "28", "28"]
