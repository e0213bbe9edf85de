"""The pinned environments agree with each other."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ORIGINAL, PARTS, Project

LOCKS = sorted((ORIGINAL / "envs").glob("*.lock"))


def pins(lock: Path) -> dict[tuple[str, str], str]:
    """The version of each (package, marker) in a lock."""
    found = {}
    for line in lock.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]+\])?==([^ ;\\]+)(?: ; ([^\\]+))?", line)
        if match:
            found[match[1], (match[3] or "").strip()] = match[2]
    return found


def extras(lock: Path) -> dict[str, set[str]]:
    """The extras that a lock pins each package with."""
    found: dict[str, set[str]] = {}
    for name, said in re.findall(r"^([a-z0-9-]+)(\[[^]]+\])?==", lock.read_text(), re.M):
        found.setdefault(name, set()).update(re.findall(r"[\w-]+", said))
    return found


def test_the_conda_environment_is_made_of_the_lock(bare: Project) -> None:
    done = bare.run("python", "envs/conda.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ORIGINAL / "envs/genlab.yaml").read_text()


def test_the_tests_run_with_the_versions_that_are_shipped() -> None:
    shipped, tested = (pins(ORIGINAL / f"envs/{name}.lock") for name in ("requirements", "test"))
    assert len(shipped) > 100
    common = shipped.keys() & tested.keys()
    assert len(common) > 100
    assert {pin: shipped[pin] for pin in common} == {pin: tested[pin] for pin in common}


def test_a_package_is_pinned_with_the_extras_that_others_ask_it_for() -> None:
    """Of `coverage[toml]` pip would else find the newest release, for which there is no hash."""
    pinned = extras(ORIGINAL / "envs/test.lock")
    asked = 0
    for name in pinned:
        try:
            requirements = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # of another platform or Python
            continue
        for needed in requirements:
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert needed.extras <= pinned.get(canonicalize_name(needed.name), set()), needed
                asked += len(needed.extras)
    assert asked  # coverage[toml], by pytest-cov


def test_the_container_runs_with_the_versions_that_are_shipped() -> None:
    shipped, contained = (
        pins(ORIGINAL / f"envs/{name}.lock") for name in ("requirements", "container")
    )
    assert {pin: contained[pin] for pin in shipped} == shipped
    assert {name for name, _ in contained.keys() - shipped.keys()} == {
        "psycopg2-binary",
        "snakemake-executor-plugin-kubernetes", "kubernetes", "oauthlib",
        "requests-oauthlib", "snakemake-storage-plugin-s3", "boto3", "botocore", "jmespath",
        "s3transfer",
    }  # fmt: skip


def test_only_pytorch_needs_what_an_environment_without_cuda_leaves_out(
    bare: Project, tmp_path: Path
) -> None:
    printed = bare.run("python", "envs/cpu.py", "container.lock")
    assert printed.returncode == 0, printed.stderr
    kept = tmp_path / "cpu.lock"
    kept.write_text(printed.stdout)
    text = (ORIGINAL / "envs/container.lock").read_text()
    lock = pins(ORIGINAL / "envs/container.lock")
    left_out = {name for name, _ in lock} - {name for name, _ in pins(kept)}
    assert pins(kept) == {pin: lock[pin] for pin in lock if pin[0] not in left_out}
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= left_out
    for name in left_out - {"torch", "torchvision"}:
        entry = re.search(rf"(?m)^{name}[\[=].*\n(?: .*\n)+", text)
        assert entry is not None
        needed_by = re.findall(r"(?m)^    #(?: via|  ) ([a-z0-9-]+)$", entry[0])
        assert needed_by, name
        assert set(needed_by) <= left_out, name
    assert kept.read_text().count("--hash=sha256:") > len(pins(kept)) > 100
    version = re.search(r"(?m)^torch==(\S+)", text)
    assert version is not None
    builds = bare.run("python", "envs/cpu.py", "container.lock", "--torch").stdout.split()
    assert builds[0] == f"torch=={version[1]}+cpu"


def test_the_image_holds_what_the_workflow_needs() -> None:
    ignored = (ORIGINAL / ".containerignore").read_text().splitlines()
    assert not {*PARTS, "pyproject.toml", "README.md", "LICENSE"} & set(ignored)
    assert {".git", ".env", "results", ".snakemake"} <= set(ignored)
    assert (ORIGINAL / ".dockerignore").resolve().name == ".containerignore"


def test_the_composed_services_fit_together() -> None:
    text = (ORIGINAL / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    services = compose["services"]
    assert services.keys() == {"study", "mlflow", "postgres", "reports"}
    mounts = [mount.split(":")[0] for one in services.values() for mount in one["volumes"]]
    assert set(mounts) == compose["volumes"].keys()
    address = services["study"]["environment"]["MLFLOW_TRACKING_URI"]
    assert f"--allowed-hosts={address.removeprefix('http://')}," in text
    for file in re.findall(r"config/[\w/]+\.yaml", text):
        assert (ORIGINAL / file).exists()


def test_every_supported_python_is_tested() -> None:
    workflow = yaml.safe_load((ORIGINAL / ".github/workflows/tests.yml").read_text())
    project = tomllib.loads((ORIGINAL / "pyproject.toml").read_text())["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if ":: Python ::" in line]
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == named


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert text.count("--hash=sha256:") >= len(pins(lock)) > 100
    assert "://" not in text
