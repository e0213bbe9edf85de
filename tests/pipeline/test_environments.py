"""The pinned environments agree with each other."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from project import ORIGINAL, Project

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


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert text.count("--hash=sha256:") >= len(pins(lock)) > 100
    assert "://" not in text
