"""What several folders of tests share: a tiny study on tiny pictures, run by the real stages.

`tiny_study(**changes)` writes the specs of a study and prepares its data, in a second's fraction;
`trained_study` is one such study with every stage done, made once and only to be read;
`genlab("train", ...)` is the command line, in this process.
"""

from __future__ import annotations

import shutil
import signal
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import yaml
from tiny import CONFIG, TEST, TRAIN, make_study, png, stripes

from genlab.app.cli import main
from genlab.config.base import merge
from genlab.results.layout import StudyFolder

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("whatever the time", deadline=None)
hypothesis.settings.load_profile("whatever the time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests/pipeline, whose files take minutes; with it last, one process would wait."""
    items.sort(key=lambda item: "pipeline" not in item.path.parts)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `config/` folder of tiny models and a zip of tiny pictures."""
    folder = tmp_path_factory.mktemp("config")
    pictures = folder / "stripes.zip"
    with zipfile.ZipFile(pictures, "w") as archive:
        for seed, (split, n) in enumerate((("train", TRAIN), ("test", TEST))):
            for i, (image, label) in enumerate(zip(*stripes(n, seed), strict=True)):
                archive.writestr(f"{split}/{('down', 'across')[label]}/{i:03}.png", png(image))
    files = merge(CONFIG, {"datasets/stripes": {"path": str(pictures)}})
    for name, content in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where the data set `pictures` finds 4,000 pictures by their names."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("pictures", "w") as archive:
        for i in range(4000):
            archive.writestr(f"{('train', 'test')[i % 2]}/{i}.png", b"")


@pytest.fixture
def tiny_study(
    tmp_path: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StudyFolder]:
    """`tiny_study(**changes)` makes the tiny study under tmp_path/results, its data prepared."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def make(**changes: Any) -> StudyFolder:
        return make_study(tmp_path / "results", tiny_config, changes)

    return make


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> StudyFolder:
    from genlab.workflow.calibration import calibrate
    from genlab.workflow.evaluate import evaluate
    from genlab.workflow.explore import explore
    from genlab.workflow.features import features
    from genlab.workflow.likelihood import likelihood
    from genlab.workflow.rank import rank_rows
    from genlab.workflow.reconstruct import reconstruct
    from genlab.workflow.rfid import rfid
    from genlab.workflow.sample import sample
    from genlab.workflow.train import train
    from genlab.workflow.trajectories import trajectories

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        at = make_study(tmp_path_factory.mktemp("finished") / "results", tiny_config, {})
        for model in ("classifier", "vae", "ddpm"):
            train(at.run("stripes", model, 0), cpu=True)
    reconstruct(at.run("stripes", "vae", 0), cpu=True)
    likelihood(at.run("stripes", "vae", 0), k=4, cpu=True)
    likelihood(at.run("stripes", "ddpm", 0), images=4, cpu=True)
    explore(at.run("stripes", "vae", 0), cpu=True)
    trajectories(at.run("stripes", "ddpm", 0), cpu=True)
    rows = {"vae": ["prior"], "ddpm": ["ddim-3"], "calibration": ["real", "noise"]}
    for split in ("train", "test"):
        images = at.data("stripes").images(split)
        features(at, "stripes", images, at.reference("stripes", split), cpu=True)
    rfid(at.run("stripes", "vae", 0), cpu=True)
    for model, names in rows.items():
        run = at.run("stripes", model, 0)
        for row in map(run.samples, names):
            calibrate(row) if model == "calibration" else sample(row, cpu=True)
            features(at, "stripes", row.samples, row.folder / "features", cpu=True)
        evaluate(run, names)
    rank_rows(at)
    return at


@pytest.fixture
def trained_study(_finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy of the tiny study with every stage up to `evaluate` done."""
    shutil.copytree(_finished.results, tmp_path / "results")
    return StudyFolder(tmp_path / "results" / _finished.folder.name)


class Outcome(NamedTuple):
    """What a command ended with."""

    status: int
    out: str
    err: str


@pytest.fixture
def genlab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """`genlab("train", "--config", path)` runs the command line in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["genlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    """Seed torch's global stream, so that a test's random numbers are the same in every run."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def _leave_no_trace() -> Iterator[None]:
    """Undo what a training changes for its whole process: signal handlers, accelerate's state."""
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)
