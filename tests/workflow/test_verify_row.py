"""`genlab verify-row`: a row is made again, and every fault of what was published is named."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from tiny import write_costs

from genlab.errors import GenLabError
from genlab.io.differences import array_difference
from genlab.io.files import note_path, read_json, write_json
from genlab.report.exports import read_parquet, write_parquet
from genlab.results.layout import SampleFolder, StudyFolder
from genlab.tracking.mirror import publish
from genlab.workflow.compare import (
    Redrawn,
    compare_published,
    compare_redrawn,
    compare_weights,
)
from genlab.workflow.league import league
from genlab.workflow.report import report
from genlab.workflow.verify import find_row, redraw

ROWS = [("vae", "prior"), ("ddpm", "ddim-3"), ("calibration", "real"), ("calibration", "noise")]
FAULTS = 100


class Published(NamedTuple):
    """A finished study, and its rows made again."""

    at: StudyFolder
    again: dict[tuple[str, str], Redrawn]

    def row(self, model: str, sampler: str) -> SampleFolder:
        return find_row(self.at, model, sampler)

    def compare(self, model: str, sampler: str) -> list[str]:
        """The names of the files that were compared without a difference."""
        at, again = self.row(model, sampler), self.again[model, sampler]
        results = [*compare_weights(at), *compare_redrawn(at, again), *compare_published(at)]
        return [name for name, _ in results]


def finish(at: StudyFolder) -> None:
    """The stages after `evaluate`; jobs were measured as Snakemake does it."""
    write_costs(at)
    league(at)
    report(at)
    publish(at)


@pytest.fixture(scope="module")
def published(_finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The tiny study with every stage done. A test that changes a file restores it."""
    results = tmp_path_factory.mktemp("published") / "results"
    shutil.copytree(_finished.results, results)
    at = StudyFolder(results / _finished.folder.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        finish(at)
    again = {
        (model, row): redraw(find_row(at, model, row), tmp_path_factory.mktemp(row), cpu=True)
        for model, row in ROWS
    }
    return Published(at, again)


@pytest.fixture(autouse=True)
def _local_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@contextmanager
def restored(path: Path) -> Iterator[None]:
    """Restore a file at the end."""
    content = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(content)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_row_is_verified_and_nothing_is_written(
    published: Published, genlab: Callable[..., Any]
) -> None:
    before = contents(published.at.results)
    ended = genlab("verify-row", "ddpm", "ddim-3", "--study", published.at.folder, "--gpus", 0)
    assert (ended.status, ended.err) == (0, "")
    names = re.findall(r"^  OK  (\S+) ", ended.out, re.M)
    run, row = "stripes/ddpm/seed0", "stripes/ddpm/seed0/samples/ddim-3"
    assert names == [
        f"{run}/model/weights.safetensors", "stripes/classifier/seed0/model/weights.safetensors",
        f"{row}/samples.npy", f"{row}/requested.npy", f"{row}/cost.json",
        f"{row}/features/classifier.npz", f"{run}/metrics.json",
        "league.csv", "league.parquet", "measurements.csv", "measurements.parquet",
        "report/index.html", "MLflow",
    ]  # fmt: skip
    assert ended.out.splitlines()[-1].startswith("OK: made again in ")
    assert contents(published.at.results) == before


@pytest.mark.parametrize(("model", "row"), ROWS)
def test_every_kind_of_row_is_made_again_byte_for_byte(
    published: Published, model: str, row: str
) -> None:
    assert published.again[model, row].exact
    tracked = model != "calibration"
    assert len(published.compare(model, row)) == (13 if tracked else 9)


def test_a_difference_ends_the_command_with_its_place_and_both_values(
    published: Published, genlab: Callable[..., Any]
) -> None:
    at = published.row("vae", "prior")
    with restored(at.samples):
        samples = np.load(at.samples, mmap_mode="r+")
        before = int(samples[3, 0, 2, 5])
        samples[3, 0, 2, 5] = before ^ 8
        samples.flush()
        ended = genlab("verify-row", "vae", "prior", "--study", published.at.folder, "--gpus", 0)
    assert ended.status == 1
    assert ended.err == (
        f"error: {at.samples}: byte {128 + 3 * 64 + 2 * 8 + 5}, element [3, 0, 2, 5]: "
        f"{before ^ 8}, but expected {before}\n"
    )


def flip(path: Path, random: np.random.Generator) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))
    path.write_bytes(content)


def another(text: str, random: np.random.Generator) -> str:
    """`text` with one other character: another digit of a number, another letter of a word."""
    places = [i for i, c in enumerate(text) if c.isalnum() and c not in "eE0"]
    places = places[:12]  # the 17th digit of a float may decide nothing
    at = int(random.choice(places)) if places else 0
    new = str((int(text[at]) + 1) % 10 or 2) if text[at : at + 1].isdigit() else "q"
    return text[:at] + new + text[at + 1 :]


class Faults:
    """Random faults of one row's files; each function makes one and returns what is at fault."""

    def __init__(self, row: SampleFolder, random: np.random.Generator) -> None:
        self.row, self.run, self.study, self.random = row, row.run, row.run.study, random
        self.calibration = self.run.model_name == "calibration"
        self.undo: Callable[[], None] | None = None

    @property
    def kinds(self) -> list[Callable[[], Path]]:
        of_all = [self.samples, self.note, self.features, self.extractor, self.metrics,
                  self.csv, self.parquet, self.page, self.lines]  # fmt: skip
        return of_all if self.calibration else [*of_all, self.weights, self.requested, self.mlflow]

    def samples(self) -> Path:
        return self._flipped(self.row.samples)

    def note(self) -> Path:
        path = note_path(self.row.samples)
        content = read_json(path)
        key = str(self.random.choice(["sha256", "made_from"]))
        write_json(path, content | {key: another(content[key], self.random)})
        return path

    def features(self) -> Path:
        return self._flipped(self.row.features("classifier"))

    def extractor(self) -> Path:
        return self._flipped(self.study.classifier("stripes").weights)

    def weights(self) -> Path:
        return self._flipped(self.run.weights)

    def requested(self) -> Path:
        return self._flipped(self.row.requested)

    def _flipped(self, path: Path) -> Path:
        flip(path, self.random)
        return path

    def metrics(self) -> Path:
        content = read_json(self.run.metrics)
        values = content[self.row.folder.name]["classifier"]
        names = [name for name, value in values.items() if isinstance(value, int | float)]
        name = str(self.random.choice(names))
        values[name] = json.loads(another(repr(values[name]), self.random))
        write_json(self.run.metrics, content)
        return self.run.metrics

    def _edit(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with another cell in the row, of those that are not empty."""
        mine = (table["model"] == self.run.model_name) & (table["sampler"] == self.row.folder.name)
        index = self.random.choice(table.index[mine])
        filled = [name for name in table if not pd.isna(table.at[index, name])
                  and table.at[index, name] != ""]  # fmt: skip
        column = str(self.random.choice(filled))
        cell = table.at[index, column]
        changed = another(str(cell), self.random)
        table.at[index, column] = changed if isinstance(cell, str) else type(cell)(changed)
        return table

    def csv(self) -> Path:
        table = pd.read_csv(self.study.league, dtype=str, keep_default_na=False)
        self._edit(table).to_csv(self.study.league, index=False)
        return self.study.league

    def parquet(self) -> Path:
        path = self.study.league_parquet
        write_parquet(path, self._edit(read_parquet(path)))
        return path

    def lines(self) -> Path:
        path = self.study.measurements_parquet
        write_parquet(path, self._edit(read_parquet(path)))
        return path

    def page(self) -> Path:
        """Another value, or another text, of a cell of the league's row."""
        path = self.study.report
        page = path.read_text()
        begin = page.index("<tbody>", page.index('<section id="league">'))
        rows = [*re.finditer(r"<tr.*?</tr>", page[begin : page.index("</tbody>", begin)], re.S)]
        of_row = ROWS.index((self.run.model_name, self.row.folder.name))
        (row,) = [rows[i] for i in [(of_row + 2) % 4]]  # calibration rows stand first
        cells = [*re.finditer(r'(?<=data-raw=")[^"]+|(?<=>)[^<>\s][^<>]*(?=<)', row[0])]
        cell = cells[self.random.integers(len(cells))]
        start = begin + row.start() + cell.start()
        changed = another(cell[0], self.random)
        path.write_text(page[:start] + changed + page[start + len(cell[0]) :])
        return path

    def mlflow(self) -> Path:
        path = self.study.results / "mlflow.db"
        query = (
            "SELECT key, value, run_uuid FROM latest_metrics JOIN runs USING (run_uuid)"
            " WHERE name = ?"
        )
        name = f"stripes/{self.run.model_name}/seed0/{self.row.folder.name}"
        with closing(sqlite3.connect(path)) as store:
            metrics = store.execute(query, (name,)).fetchall()
        name, value, run_id = metrics[self.random.integers(len(metrics))]
        self._store(path, name, run_id, value + 1e-9)
        self.undo = lambda: self._store(path, name, run_id, value)
        return path

    @staticmethod
    def _store(path: Path, name: str, run_id: str, value: float) -> None:
        update = "UPDATE latest_metrics SET value = ? WHERE key = ? AND run_uuid = ?"
        with closing(sqlite3.connect(path)) as store, store:
            store.execute(update, (value, name, run_id))


@pytest.mark.parametrize("hundredth", range(FAULTS // 10))
def test_random_faults_are_named(published: Published, hundredth: int) -> None:
    """Ten of a hundred: each is made, named, and undone."""
    for number in range(10 * hundredth, 10 * hundredth + 10):
        random = np.random.default_rng(number)
        model, sampler = ROWS[number % len(ROWS)]
        faults = Faults(published.row(model, sampler), random)
        kind = faults.kinds[random.integers(len(faults.kinds))]
        before = contents(published.at.results)
        at_fault = kind()
        changed = [name for name, content in contents(published.at.results).items()
                   if content != before[name]]  # fmt: skip
        assert changed == [str(at_fault.relative_to(published.at.results))], kind
        try:
            with pytest.raises(GenLabError) as error:
                published.compare(model, sampler)
        finally:
            # MLflow keeps the database open, so that one is changed back and not replaced.
            faults.undo() if faults.undo else at_fault.write_bytes(before[changed[0]])
        assert str(at_fault) in str(error.value), (number, kind)
    assert len(published.compare(*ROWS[0])) == 13


def test_a_study_is_found_from_its_own_folder(
    published: Published, genlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(published.at.folder)
    ended = genlab("verify-row", "calibration", "real", "--study", ".", "--gpus", 0)
    assert (ended.status, ended.err) == (0, "")


def test_another_processor_must_reproduce_the_intervals(
    published: Published, tmp_path: Path, genlab: Callable[..., Any]
) -> None:
    """The samples may differ then, but not from the checksum that was written with them."""
    at = published.row("ddpm", "ddim-3")
    elsewhere = redraw(at, tmp_path, cpu=True)._replace(exact=False)
    samples = np.load(elsewhere.at.samples) ^ 1
    np.save(elsewhere.at.samples, samples)
    content = read_json(at.run.metrics)
    fid = content["ddim-3"]["classifier"]["fid"]
    with restored(at.run.metrics), restored(at.samples):
        for low, high in ((fid - 1, fid + 1), (fid + 1, fid + 2)):
            content["ddim-3"]["classifier"] |= {"fid_low": low, "fid_high": high}
            write_json(at.run.metrics, content)
            if low < fid:
                amounts = dict(compare_redrawn(at, elsewhere))
                values = content["ddim-3"]["classifier"] | content["ddim-3"]["row"]
                intervals = sum(
                    name.endswith("_low") and value is not None for name, value in values.items()
                )
                assert amounts["stripes/ddpm/seed0/metrics.json"] == f"{intervals} intervals"
            else:
                message = f"{at.run.metrics}: interval of classifier.fid: [{low}, {high}], but"
                with pytest.raises(GenLabError, match=re.escape(message)):
                    list(compare_redrawn(at, elsewhere))
        flip(at.samples, np.random.default_rng(0))
        with pytest.raises(GenLabError, match=f"{at.samples}: damaged"):
            list(compare_redrawn(at, elsewhere))


def test_another_processor_is_announced(published: Published, genlab: Callable[..., Any]) -> None:
    environment = published.at.run("stripes", "vae", 0).environment
    arguments = ("verify-row", "vae", "prior", "--study", published.at.folder, "--gpus", 0)
    with restored(environment):
        write_json(environment, read_json(environment) | {"processor": "another"})
        ended = genlab(*arguments)
    assert ended.status == 0
    assert "note: made on another kind of processor" in ended.out
    assert "note" not in genlab(*arguments).out


def test_weights_of_another_configuration_are_named(published: Published) -> None:
    """The tensors are intact, but the file's metadata name another number of steps."""
    at = published.row("ddpm", "ddim-3")
    with restored(at.run.weights):
        content = at.run.weights.read_bytes()
        at.run.weights.write_bytes(
            content.replace(b'timesteps\\\\\\": 10', b'timesteps\\\\\\": 11')
        )
        assert at.run.weights.read_bytes() != content
        with pytest.raises(
            GenLabError, match=r"metadata\.architecture\.stages\.0\.timesteps: 11, but expected 10"
        ):
            list(compare_weights(at))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vea", "prior"), "model vea: the study has no such row; did you mean 'vae'?"),
        (("vae", "ddim-3"), "sampler ddim-3: the study has no such row; known: prior"),
        (("vae", "prior", "--seed", 3), "--seed 3: the study has no such row; known: 0"),
        (("vae", "prior", "--dataset", "x"), "--dataset x: the study has no such row; known: str"),
    ],
)
def test_a_row_that_is_not_in_the_study_is_refused(
    published: Published, genlab: Callable[..., Any], arguments: tuple[object, ...], message: str
) -> None:
    ended = genlab("verify-row", *arguments, "--study", published.at.folder)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {message}")


def test_a_study_without_results_is_refused(genlab: Callable[..., Any]) -> None:
    ended = genlab("verify-row", "vae", "prior", "--study", "nowhere")
    assert ended.status == 1
    assert ended.err.startswith("error: --study nowhere: no results of a study; ")


def test_the_first_byte_that_differs_is_named_also_in_the_header(tmp_path: Path) -> None:
    paths = tmp_path / "a.npy", tmp_path / "b.npy"
    for path in paths:
        np.save(path, np.arange(6).reshape(2, 3))
    assert array_difference(*paths) is None
    content = bytearray(paths[0].read_bytes())
    content[128 + 8 * 4] = 9
    paths[0].write_bytes(content)
    assert str(array_difference(*paths)) == (
        f"{paths[0]}: byte 160, element [1, 1]: 9, but expected 4"
    )
    content[3] = 7
    paths[0].write_bytes(content)
    assert "byte 3, in its header: 7, but expected 77" in str(array_difference(*paths))
    paths[0].write_bytes(content[:-1])
    assert "size: 175 bytes, but expected 176 bytes" in str(array_difference(*paths))
