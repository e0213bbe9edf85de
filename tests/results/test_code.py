"""The hash of a stage's code changes with its code, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module of a small package that stands in for GenLab's own."""
    package = tmp_path / "genlab"
    monkeypatch.setattr(code, "PACKAGE", package)

    def write(name: str, text: str) -> None:
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        code._source.cache_clear()

    write("stage.py", "import os\nimport genlab.deep.one\n\ndef f(x):\n    return x\n")
    write("deep/__init__.py", "")
    write("deep/one.py", "def g():\n    from genlab.deep import two\n    return two\n")
    write("deep/two.py", "VALUE = 1\n")
    write("apart.py", "from genlab import stage\n")
    return write


def test_imports_are_followed_wherever_they_stand(write: Write) -> None:
    """Nested packages, imports within functions, and imports of a module by `from`."""
    assert list(code.modules(["genlab.stage:f"])) == [
        "genlab.deep", "genlab.deep.one", "genlab.deep.two", "genlab.stage",
    ]  # fmt: skip
    assert "genlab.stage" in code.modules(["genlab.apart"])


def test_imports_may_go_in_circles(write: Write) -> None:
    write("deep/two.py", "import genlab.stage\n")
    assert "genlab.deep.two" in code.modules(["genlab.deep.one"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stage.py", "import os\nimport genlab.deep.one\n\ndef f(x):\n    return x + 1\n"),
        ("deep/two.py", "VALUE = 2\n"),
        ("deep/__init__.py", "HERE = True\n"),
        ("deep/one.py", "def g():\n    pass\n"),
    ],
)
def test_a_change_of_code_changes_the_hash(write: Write, name: str, text: str) -> None:
    before = code.code("genlab.stage")
    write(name, text)
    assert code.code("genlab.stage") != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("stage.py", '"""Says."""\nimport os\nimport genlab.deep.one\n\n'
                     'def f(x):\n    """Doc."""\n    return x\n'),
        ("deep/two.py", "VALUE = 1  # said differently\n\n\n"),
        ("apart.py", "SOMETHING = 'else'\n"),
    ],
)  # fmt: skip
def test_words_and_other_modules_do_not(write: Write, name: str, text: str) -> None:
    write("stage.py", '"""Said."""\nimport os\nimport genlab.deep.one\n\n'
                      'def f(x):\n    """Text."""\n    return x\n')  # fmt: skip
    before = code.code("genlab.stage")
    write(name, text)
    assert code.code("genlab.stage") == before


def test_a_file_beside_a_module_counts_as_its_code(write: Write) -> None:
    """A template or a style sheet that bears the module's name."""
    before = code.code("genlab.stage")
    write("other.css", "p { color: red }")
    assert code.code("genlab.stage") == before
    write("stage.css", "p { color: red }")
    assert code.code("genlab.stage") != before


def test_a_new_root_changes_the_hash(write: Write) -> None:
    assert code.code("genlab.stage") != code.code("genlab.stage", "genlab.apart")


def test_each_stage_depends_on_its_own_part_of_the_house() -> None:
    """Training depends on its model, not on how samples are drawn or measured."""
    trained = code.modules(["genlab.training.trainer", "genlab.models.vae:VAE"])
    assert {"genlab.models.vae", "genlab.config.families.vae", "genlab.training.resume"} <= {
        *trained
    }
    for name in ("evaluation", "report", "samplers", "sampling", "models.ddpm"):
        assert not any(module.startswith(f"genlab.{name}") for module in trained)
    measured = code.modules(["genlab.evaluation.stages"])
    assert not any(module.startswith(("genlab.training", "genlab.report")) for module in measured)
