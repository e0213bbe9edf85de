"""The tracking store is created, deleted, moved and changed for another one; nothing is lost.

MLflow is the real one: a SQLite store of its own in every test, and a server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from runs import Study, begin, draw, history, local, log, rows_in, runs_in
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genlab.io.files import read_json
from genlab.results.layout import RunFolder, StudyFolder
from genlab.tracking.mirror import mirror, publish
from genlab.tracking.mlflow_store import store_number

NOBODY = 65534  # the user id

MIRROR = """
import os, sys
from pathlib import Path
import mlflow
from genlab.results.layout import RunFolder
from genlab.tracking.mirror import mirror
print("ready", flush=True)
for folder in iter(lambda: sys.stdin.readline().strip(), ""):
    print(mirror(RunFolder(Path(folder)), "RUNNING"), flush=True)
"""


@pytest.fixture
def six() -> Iterator[list[subprocess.Popen[str]]]:
    """Six processes that have imported MLflow, and mirror the run that they are told."""
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([sys.executable, "-c", MIRROR], stdin=pipe, stdout=pipe, text=True)
        for _ in range(6)
    ]
    assert [answer(process) for process in processes] == ["ready"] * 6
    yield processes
    for process in processes:
        process.communicate(timeout=300)


def answer(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def at_once(processes: Sequence[subprocess.Popen[str]], at: StudyFolder) -> list[str]:
    """What goes wrong when each of the processes mirrors a run of the study at the same time."""
    runs = [at.run("stripes", "vae", seed) for seed in range(len(processes))]
    for run in runs:
        begin(run)
    for process, run in zip(processes, runs, strict=True):
        assert process.stdin is not None
        process.stdin.write(f"{run.folder}\n")
    for process in processes:
        assert process.stdin is not None
        process.stdin.flush()
    return [answer(process) for process in processes]


def steps(uri: str, run_id: str) -> list[int]:
    return [step for step, _ in history(uri, run_id, "train/loss")]


def test_six_processes_may_create_the_store_at_once(
    tiny_study: Study, six: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Three times over, each time in another folder where there is no store."""
    for number in range(3):
        at = tiny_study(seeds=list(range(6)))
        results = tmp_path / str(number) / "results"
        shutil.move(at.results, results)
        at = StudyFolder(results / at.folder.name)
        assert at_once(six, at) == ["{}"] * 6
        runs = runs_in(local(at.run("stripes", "vae", 0)))
        assert {run.info.run_name for run in runs} == {f"stripes/vae/seed{i}" for i in range(6)}
        assert len(runs) == 6


def test_six_processes_may_create_an_experiment_of_a_server_at_once(
    tiny_study: Study, at_server: str, six: list[subprocess.Popen[str]]
) -> None:
    for name in ("first", "second", "third"):
        at = tiny_study(seeds=list(range(6)), name=name)
        assert at_once(six, at) == ["{}"] * 6
        assert len(runs_in(at_server, f"genlab-{name}")) == 6


def test_a_run_that_was_deleted_is_sent_whole_as_a_new_one(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror(run, "RUNNING")
    (old,) = runs_in(local(run))
    MlflowClient(tracking_uri=local(run)).delete_run(old.info.run_id)
    log(run, 4, 5)
    assert mirror(run, "FINISHED") == {}
    assert f"note: mlflow does not have {run.folder}" in capsys.readouterr().err
    (new,) = runs_in(local(run))
    assert new.info.run_id != old.info.run_id
    assert new.info.status == "FINISHED"
    assert new.data.params == {"seed": "0", "model.family": "vae"}
    assert steps(local(run), new.info.run_id) == [1, 2, 3, 4, 5]
    assert mirror(run, "FINISHED") == {}
    assert [one.info.run_id for one in runs_in(local(run))] == [new.info.run_id]
    assert capsys.readouterr().err == ""


def test_even_where_nothing_is_new(run: RunFolder) -> None:
    mirror(run, "FINISHED")
    (old,) = runs_in(local(run))
    MlflowClient(tracking_uri=local(run)).delete_run(old.info.run_id)
    assert mirror(run, "FINISHED") == {}
    (new,) = runs_in(local(run))
    assert steps(local(run), new.info.run_id) == [1, 2, 3]


def test_an_experiment_that_was_deleted_is_restored_with_its_runs(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow keeps its name, and refuses a new one that is called so."""
    mirror(run, "RUNNING")
    (old,) = runs_in(local(run))
    MlflowClient(tracking_uri=local(run)).delete_experiment(old.info.experiment_id)
    log(run, 4, 5)
    assert mirror(run, "FINISHED") == {}
    message = capsys.readouterr().err
    assert message.startswith("note: the deleted MLflow experiment 'genlab-tiny' is restored")
    (new,) = runs_in(local(run))
    assert new.info.run_id == old.info.run_id
    assert steps(local(run), new.info.run_id) == [1, 2, 3, 4, 5]


def test_a_new_store_in_the_place_of_one_that_was_deleted_receives_everything(
    run: RunFolder, empty_store: Path, tmp_path: Path
) -> None:
    """One is there already: MLflow can't create a second one at a place within one process."""
    grid = draw(run, "prior")
    mirror(run, "FINISHED")
    shutil.copy(empty_store, run.study.results / "mlflow.db")
    shutil.rmtree(run.study.results / "mlflow-artifacts")
    assert mirror(run, "FINISHED") == {}
    (new,) = runs_in(local(run))
    assert steps(local(run), new.info.run_id) == [1, 2, 3]
    client = MlflowClient(tracking_uri=local(run))
    row_id = rows_in(local(run))["prior"].info.run_id
    copy = Path(client.download_artifacts(row_id, "samples/prior/grid.png", str(tmp_path)))
    assert copy.read_bytes() == grid.read_bytes()


def test_a_server_receives_what_only_the_local_store_had_and_the_other_way_round(
    study: Study, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of the two has one run in the end, and every step in it once."""
    run = study(tracking={"experiment": "both"}).run("stripes", "vae", 0)
    begin(run)
    grid = draw(run, "prior")
    mirror(run, "RUNNING")
    for last, uri in ((4, server), (5, None), (6, server), (7, None)):
        if uri:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        else:
            monkeypatch.delenv("MLFLOW_TRACKING_URI")
        log(run, last, last)
        assert mirror(run, "FINISHED") == {}
        (sent,) = runs_in(uri or local(run), "both")
        assert steps(uri or local(run), sent.info.run_id) == list(range(1, last + 1))
        client = MlflowClient(tracking_uri=uri or local(run))
        to = str(tmp_path / f"after {last}")
        Path(to).mkdir()
        row_id = rows_in(uri or local(run), "both")["prior"].info.run_id
        copy = Path(client.download_artifacts(row_id, "samples/prior/grid.png", to))
        assert copy.read_bytes() == grid.read_bytes()


def test_a_run_that_a_server_lost_is_sent_again(study: Study, at_server: str) -> None:
    """A server answers other errors than SQLite."""
    run = study(tracking={"experiment": "lost"}).run("stripes", "vae", 0)
    begin(run)
    mirror(run, "FINISHED")
    client = MlflowClient(tracking_uri=at_server)
    (old,) = runs_in(at_server, "lost")
    client.delete_run(old.info.run_id)
    assert mirror(run, "FINISHED") == {}
    (new,) = runs_in(at_server, "lost")
    assert steps(at_server, new.info.run_id) == [1, 2, 3]
    client.delete_experiment(new.info.experiment_id)
    assert mirror(run, "FINISHED") == {}
    assert new.info.run_id in {one.info.run_id for one in runs_in(at_server, "lost")}


def test_another_experiment_receives_everything_and_the_way_back_nothing_twice(
    run: RunFolder,
) -> None:
    mirror(run, "FINISHED")
    before = run.study.tracking.read_text()
    run.study.tracking.write_text(before.replace("experiment: null", "experiment: other"))
    assert mirror(run, "FINISHED") == {}
    run.study.tracking.write_text(before)
    assert mirror(run, "FINISHED") == {}
    for experiment in ("genlab-tiny", "other"):
        (sent,) = runs_in(local(run), experiment)
        assert steps(local(run), sent.info.run_id) == [1, 2, 3]


def publish_apart(at: StudyFolder) -> None:
    """`genlab publish` in a process of its own: MLflow keeps the addresses of artifacts in mind."""
    command = [sys.executable, "-m", "genlab", "publish", "--config", str(at.config)]
    subprocess.run(command, check=True)


def test_artifacts_of_a_project_elsewhere_are_in_its_own_folder(
    run: RunFolder, tmp_path: Path
) -> None:
    """It is copied, and the copy is moved: those sent before and those sent now."""
    at = run.study
    draw(run, "row0")
    publish_apart(at)
    here = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.png"))]
    shutil.copytree(at.results, tmp_path / "copy" / "results")
    copy = StudyFolder(tmp_path / "copy/results/tiny")
    draw(copy.run("stripes", "vae", 0), "row1")
    publish_apart(copy)
    shutil.move(tmp_path / "copy", tmp_path / "moved copy")
    moved = StudyFolder(tmp_path / "moved copy/results/tiny").run("stripes", "vae", 0)
    draw(moved, "row2")
    publish_apart(moved.study)

    (sent,) = runs_in(local(moved))
    assert steps(local(moved), sent.info.run_id) == [1, 2, 3]
    rows = rows_in(local(moved))
    assert rows.keys() == {"row0", "row1", "row2"}
    client = MlflowClient(tracking_uri=local(moved))
    downloads = tmp_path / "moved copy" / "downloads"
    downloads.mkdir()
    for row, stored in rows.items():
        grid, run_id = moved.samples(row).grid, stored.info.run_id
        folder = moved.study.results / "mlflow-artifacts" / run_id / "artifacts"
        (file,) = client.list_artifacts(run_id, f"samples/{row}")
        loaded = Path(client.download_artifacts(run_id, file.path, str(downloads)))
        assert loaded.read_bytes() == (folder / file.path).read_bytes() == grid.read_bytes()
    shutil.rmtree(tmp_path / "moved copy")
    assert [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.png"))] == here


def test_artifacts_that_stayed_behind_stay_where_they_are(run: RunFolder, tmp_path: Path) -> None:
    """Of a database that was moved without them, the addresses are right as they are."""
    grid = draw(run, "prior")
    mirror(run, "RUNNING")
    (tmp_path / "alone").mkdir()
    shutil.copy(run.study.results / "mlflow.db", tmp_path / "alone")
    uri = f"sqlite:///{tmp_path}/alone/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        assert mirror(run, "FINISHED") == {}
    row_id = rows_in(uri)["prior"].info.run_id
    client = MlflowClient(tracking_uri=uri)
    copy = Path(client.download_artifacts(row_id, "samples/prior/grid.png"))
    assert copy.read_bytes() == grid.read_bytes()


def test_results_that_can_t_be_written_are_an_error_of_one_line(
    run: RunFolder, genlab: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # whose parents everybody can enter
        at = StudyFolder(Path(folder) / "results/tiny")
        shutil.copytree(run.study.results, at.results)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o555)
        if os.geteuid() == 0:  # root may write anywhere
            os.seteuid(NOBODY)
        try:
            ended = genlab("publish", "--config", at.config)
        finally:
            os.seteuid(os.getuid())
            for path in Path(folder).rglob("*"):
                path.chmod(0o755)
    assert ended.status == 1
    outbox = at.classifier("stripes").outbox  # the first one
    assert ended.err == f"error: {outbox}: can't be written: Permission denied\n"


def test_the_number_of_the_store_says_when_all_must_be_sent_again(
    study: Study, empty_store: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the rule's parameter: the same before and after `publish`, until the store is lost."""
    at = study(tracking={"experiment": "numbered"})
    begin(at.run("stripes", "vae", 0))
    database = at.results / "mlflow.db"

    def number_before_and_after() -> int:
        before = store_number(at, "numbered")
        publish(at)
        assert store_number(at, "numbered") == before
        return before

    assert number_before_and_after() == 1
    shutil.copy(empty_store, database)
    assert number_before_and_after() == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{at.results}/other.db")
    assert number_before_and_after() == 3
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert number_before_and_after() == 4
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    client.delete_experiment(client.get_experiment_by_name("numbered").experiment_id)
    assert number_before_and_after() == 5
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("//", "//me:secret@"))
    assert number_before_and_after() == 6
    assert "secret" not in at.sent.read_text()


def test_tensorboard_s_files_that_were_deleted_are_written_again(study: Study) -> None:
    run = study(tracking={"tensorboard": True}).run("stripes", "vae", 0)
    begin(run)
    mirror(run, "RUNNING")
    shutil.rmtree(run.study.tensorboard)
    log(run, 4, 5)
    assert mirror(run, "FINISHED") == {}
    events = EventAccumulator(str(run.study.tensorboard / "stripes/vae/seed0")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5]


def test_so_is_an_offline_run_of_weights_and_biases(study: Study) -> None:
    """As a new run; one of another project is a new one as well."""
    run = study(tracking={"wandb": "offline"}).run("stripes", "vae", 0)
    begin(run)
    mirror(run, "RUNNING")
    shutil.rmtree(run.folder / "wandb")
    assert mirror(run, "RUNNING") == {}
    (file,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    assert b"train/step" in file.read_bytes()
    text = run.study.tracking.read_text()
    run.study.tracking.write_text(text.replace("experiment: null", "experiment: other"))
    assert mirror(run, "RUNNING") == {}
    assert len(list(run.folder.glob("wandb/offline-run-*/run-*.wandb"))) == 2
    sent = read_json(run.outbox / "sent_wandb.json")
    assert [progress["step"] for progress in sent["runs"].values()] == [3, 3, 3]
