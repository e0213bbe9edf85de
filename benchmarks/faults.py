"""What a study does when it is killed, its files are damaged, or the machine fails.

    python benchmarks/faults.py                          # 50 kills, 3 damages of each kind
    python benchmarks/faults.py --parts clock kills --kills 3

A small study runs once undisturbed in a temporary copy of the checkout. Then copies of it are
disturbed, and the bytes of all images, weights, features and measurements are compared. Only two
ends are acceptable: the same bytes, or an error that names the place and, once that is put right,
the same bytes. The script ends with an error at the first end that is neither.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml
from common import Row, copy_checkout, environment_of, listed, machine, publish, table

from genlab.io.files import CHECKSUM

STUDY: dict[str, Any] = {
    "name": "faults",
    "datasets": ["sprites"],
    "models": [
        {"preset": "vae", "channels": 8, "latent": 4},
        {"preset": "ddpm", "network": {"channels": 8}},
    ],
    "samplers": {
        "prior": {"sampler": "prior"},
        "ddim-5": {"sampler": "ddim", "steps": 5},
    },
    "training": {"images": 12_800},
    "evaluation": {
        "samples": 128,
        "extractors": ["low-level", "classifier"],
        "calibration": ["real"],
        "classifier": {"images": 2560},
    },
    "likelihood": {"iwae_samples": 4, "path_images": 8},
    "curves": {"shares": [0.5, 1.0], "samples": 128},
    "tracking": {"tensorboard": False, "system_metrics": False},
}
FILE = "config/studies/faults.yaml"
RESULTS = Path("results/faults")
PATIENCE = 900.0
"""Seconds for a study that takes one or two minutes"""
VARYING_KEYS = {
    "train_seconds", "seconds_at", "seconds_per_image", "images_per_second", "time",
    "joules", "joules_per_image", "seconds", CHECKSUM,
}  # fmt: skip
"""Keys of JSON files whose values differ between two runs"""
IGNORED_FILES = ("environment.json", "sent.json")
"""Files that hold the machine's state, or runs of MLflow, and are not compared"""
DAMAGED_FILES = (
    "results/data/sprites/train_images.npy",
    "results/data/sprites/manifest.json",
    f"{RESULTS}/sprites/*/seed0/model/weights.safetensors",
    f"{RESULTS}/sprites/*/seed0/model/summary.json",
    f"{RESULTS}/sprites/*/seed0/model/at/0.5.safetensors",
    f"{RESULTS}/sprites/*/seed0/samples/*/samples.npy",
    f"{RESULTS}/sprites/*/seed0/samples/*/features/*.npz",
    f"{RESULTS}/sprites/reference/*/*.npz",
    f"{RESULTS}/sprites/*/seed0/metrics.json",
    f"{RESULTS}/sprites/*/seed0/likelihood.json",
)
"""Kinds of files that stages read"""
PARTS = ("terminated", "twice", "edited", "clock", "disk", "damages", "kills")


class Failure(Exception):
    """An end that is not acceptable."""


def flip(path: Path, rng: random.Random) -> None:
    """Turn one bit of the file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    """Cut the file off."""
    os.truncate(path, rng.randrange(path.stat().st_size))


def delete(path: Path, rng: random.Random) -> None:
    """Delete the file."""
    path.unlink()


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (flip, truncate, delete)


class Study:
    """The study in a copy of the checkout, from nothing or from the results of another one."""

    def __init__(self, root: Path, finished: Path | None = None) -> None:
        self.root = root
        if finished:
            shutil.copytree(finished, root, symlinks=True)
        else:
            copy_checkout(root)
            self.write(STUDY)

    def write(self, study: dict[str, Any]) -> None:
        (self.root / FILE).write_text(yaml.safe_dump(study), encoding="utf-8")

    def begin(self) -> subprocess.Popen[str]:
        """Start the study, in a group of processes of its own."""
        return subprocess.Popen(
            ["snakemake", "--cores", "2", "--configfile", FILE],
            cwd=self.root,
            env=environment_of(self.root, OMP_NUM_THREADS="1", GENLAB_GPUS="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self) -> tuple[int, str]:
        """Exit code and output of the study."""
        process = self.begin()
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def finish(self) -> None:
        """Run the study to its end."""
        code, output = self.run()
        if code:
            raise Failure(f"exit code {code}:\n{output[-3000:]}")

    def digests(self) -> dict[str, str]:
        """Digests of all files of numbers, without their times, by path."""
        digests = {}
        for folder in (self.root / "results/data", self.root / RESULTS):
            for path in sorted(folder.rglob("*")):
                ignored = {"resume", "tracking", "logs", "benchmarks", "report"} & set(path.parts)
                if ignored or not path.is_file():
                    continue
                if path.suffix in (".npy", ".npz", ".safetensors"):
                    content = path.read_bytes()
                elif path.suffix == ".json" and path.name not in IGNORED_FILES:
                    content = _without_times(path)
                else:
                    continue
                digests[str(path.relative_to(self.root))] = hashlib.sha256(content).hexdigest()
        return digests

    def check(self, expected: dict[str, str]) -> None:
        """Compare the files with the `expected` digests of the undisturbed study.

        Raises:
            Failure: a file is missing, additional or different.
        """
        actual = self.digests()
        for path in sorted(expected.keys() | actual.keys()):
            if actual.get(path) != expected.get(path):
                raise Failure(f"{path}: {actual.get(path)}, undisturbed {expected.get(path)}")

    def running_stages(self, process: subprocess.Popen[str]) -> list[str]:
        """The stages that run in children of a process."""
        stages = []
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if len(words) > 2 and words[1].endswith("/genlab"):
                stages.append(words[2])
        return stages

    def training_seconds(self) -> dict[Path, float]:
        """How long each training that ended took; a step more would change it."""
        costs = (self.root / RESULTS).glob("*/*/seed*/model/cost.json")
        return {path: json.loads(path.read_text())["train_seconds"] for path in costs}


def _without_times(path: Path) -> bytes:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items() if key not in VARYING_KEYS}
        return [clean(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(clean(json.loads(path.read_text(encoding="utf-8")))).encode()


def kill_study(
    folder: Path, expected: dict[str, str], kills: int, seed: int, longest: float
) -> Iterator[Row]:
    """Kill all processes at random moments; the same command continues, to the end.

    Args:
        longest: seconds between the start of the study and a kill, at most.
    """
    rng, remaining, stages = random.Random(seed), kills, collections.Counter[str]()
    studies = 0
    while remaining:
        study = Study(folder / f"killed{studies}")
        studies += 1
        finished: dict[Path, float] = {}
        while remaining:
            process = study.begin()
            delay = rng.uniform(1, longest)
            try:
                process.communicate(timeout=delay)
                break  # it ended
            except subprocess.TimeoutExpired:
                stages.update(set(study.running_stages(process)) or {"planning"})
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                remaining -= 1
            finished = _check_not_repeated(finished, study.training_seconds())
        study.finish()
        _check_not_repeated(finished, study.training_seconds())
        study.check(expected)
        shutil.rmtree(study.root)
    for stage, number in sorted(stages.items()):
        yield {"fault": f"SIGKILL during {stage}", "times": number, "end": "same bytes"}


def _check_not_repeated(finished: dict[Path, float], now: dict[Path, float]) -> dict[Path, float]:
    """Compare trainings that had `finished` with those `now`; some may have to be noted again.

    Returns:
        The seconds of all trainings that ever finished.
    """
    for path, seconds in finished.items():
        if now.get(path, seconds) != seconds:
            raise Failure(f"{path}: was trained again")
    return now | finished


def damage_files(
    folder: Path, whole: Path, expected: dict[str, str], times: int, seed: int
) -> Iterator[Row]:
    """Damage a file that a stage reads, and run the study again."""
    rng = random.Random(seed)
    for pattern in DAMAGED_FILES:
        ends = collections.Counter[str]()
        for damage in DAMAGES:
            for number in range(times):
                study = Study(folder / f"damaged{number}", whole)
                path = rng.choice(sorted(study.root.glob(pattern)))
                damage(path, rng)
                if path.parent.name == "at":  # only the learning curve reads it: once more
                    (path.parents[2] / "curve/curve.json").unlink()
                ends[_run_damaged(study, path, expected)] += 1
                shutil.rmtree(study.root)
        name = pattern.removeprefix("results/").removeprefix("faults/sprites/").replace("*/", "")
        end = ", ".join(f"{end} ({number})" for end, number in ends.items())
        yield {"fault": f"{name} damaged", "times": len(DAMAGES) * times, "end": end}


def _run_damaged(study: Study, path: Path, expected: dict[str, str]) -> str:
    """Run a study whose file at `path` is damaged; delete what an error names, and run it again.

    Returns:
        How the study ended.
    """
    end = "same bytes"
    code, output = study.run()
    if code:
        name = str(path.relative_to(study.root))
        if "Traceback" in output:
            raise Failure(f"{name}: a traceback:\n{output[-3000:]}")
        if f"{name}: " not in output:
            raise Failure(f"{name}: not named:\n{output[-3000:]}")
        if path.parent.name == "at":  # one output of the training, as the message says
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        study.finish()
        end = "named, then same bytes"
    study.check(expected)
    return end


def terminate_training(folder: Path, expected: dict[str, str]) -> Iterator[Row]:
    """End a training with SIGTERM: it writes a checkpoint, and the next command continues there."""
    study = Study(folder / "terminated")
    process = study.begin()
    pid = study.root / RESULTS / "sprites/ddpm/seed0/resume/pid"
    # Weights of half of the training
    _wait_until(lambda: bool(list(pid.parent.glob("*-at-*.part"))))
    start = time.monotonic()
    trainer = psutil.Process(int(pid.read_text()))
    trainer.terminate()
    trainer.wait(PATIENCE)
    seconds = time.monotonic() - start
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if not list(pid.parent.glob("*.safetensors")):
        raise Failure("SIGTERM left no checkpoint")
    study.finish()
    study.check(expected)
    yield {"fault": "SIGTERM to a training", "times": 1,
           "end": f"checkpoint after {seconds:.1f} s, then same bytes"}  # fmt: skip


def edit_study(folder: Path) -> Iterator[Row]:
    """Edit a study while it runs: files begun before are refused, then made as edited."""
    settings = {**STUDY, "training": {"images": 19_200}}
    reference, study = Study(folder / "as-edited"), Study(folder / "edited")
    reference.write(settings)
    reference.finish()
    process = study.begin()
    _wait_until(lambda: bool(study.running_stages(process)))
    study.write(settings)
    process.communicate(timeout=PATIENCE)
    study.finish()
    study.check(reference.digests())
    yield {"fault": "study edited while it runs", "times": 1, "end": "bytes of the edited study"}


def run_twice(folder: Path, expected: dict[str, str]) -> Iterator[Row]:
    """Start a second Snakemake beside the first one."""
    study = Study(folder / "twice")
    process = study.begin()
    _wait_until(lambda: bool(study.running_stages(process)))
    code, output = study.run()
    if not code or "Traceback" in output:
        raise Failure(f"a second workflow beside the first one: {output[-2000:]}")
    process.communicate(timeout=PATIENCE)
    study.finish()
    study.check(expected)
    yield {"fault": "two workflows at once", "times": 1, "end": "second refused, same bytes"}


def set_clock_back(folder: Path, whole: Path, expected: dict[str, str]) -> Iterator[Row]:
    """Set the clock back by an hour after the study ended, then delete a row's samples.

    Until the clock is right again, Snakemake reports it rather than compare meaningless times.
    """
    study = Study(folder / "clock", whole)
    shift(study, 3600)
    next((study.root / RESULTS).glob("sprites/ddpm/seed0/samples/*/samples.npy")).unlink()
    code, output = study.run()
    if code and ("clock" not in output or "Traceback" in output):
        raise Failure(f"clock set back: {output[-3000:]}")
    shift(study, -3600)
    study.finish()
    study.check(expected)
    end = "an error that says so, then same bytes" if code else "same bytes"
    yield {"fault": "clock set back an hour", "times": 1, "end": end}


def shift(study: Study, seconds: int) -> None:
    """Add `seconds` to the modification times of all results."""
    for path in study.root.joinpath("results").rglob("*"):
        if path.is_file():
            time_ns = path.stat().st_mtime_ns + seconds * 10**9
            os.utime(path, ns=(time_ns, time_ns))


def fill_disk(folder: Path, expected: dict[str, str]) -> Iterator[Row]:
    """Fill the disk, make it read-only, then give it room again. Needs root."""
    study = Study(folder / "disk")
    results = study.root / "results"
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(results)]
    if os.getuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield {"fault": "disk full or read-only", "times": 0, "end": "not tried: needs root"}
        return
    try:
        for name, option, word in (
            ("disk full", "size=6m", "disk"),
            ("results read-only", "ro", "Read-only"),
        ):
            subprocess.run(["mount", "-o", f"remount,{option}", str(results)], check=True)
            code, output = study.run()
            if not code or "Traceback" in output or word not in output:
                raise Failure(f"{name}: exit code {code}:\n{output[-3000:]}")
            yield {"fault": name, "times": 1, "end": "an error that says so, later same bytes"}
        subprocess.run(["mount", "-o", "remount,rw,size=2g", str(results)], check=True)
        study.finish()
        study.check(expected)
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failure("waited in vain")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--damages", type=int, default=3, help="of each kind, of every file")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the damages")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = Study(folder / "undisturbed")
        start = time.monotonic()
        whole.finish()
        seconds = time.monotonic() - start
        expected = whole.digests()
        print(f"undisturbed: {len(expected)} files, {seconds:.0f} s")
        parts = {
            "terminated": terminate_training(folder, expected),
            "twice": run_twice(folder, expected),
            "edited": edit_study(folder),
            "clock": set_clock_back(folder, whole.root, expected),
            "disk": fill_disk(folder, expected),
            "damages": damage_files(folder, whole.root, expected, options.damages, options.seed),
            "kills": kill_study(folder, expected, options.kills, options.seed, 0.4 * seconds),
        }
        try:
            for part in options.parts:
                for row in parts[part]:
                    print(*row.values(), sep="; ")
                    rows.append(row)
        except Failure as failure:
            sys.exit(f"error: {failure}")
    about = machine(1)
    markdown = f"{table(rows)}\n{len(expected)} files compared. {listed(about)}.\n"
    publish("faults", markdown, {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
