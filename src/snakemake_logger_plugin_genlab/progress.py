"""Which jobs are planned, running and done, and how long the rest will take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple


def duration(seconds: float) -> str:
    """A time in words, of two units at most: '40 s', '2 min 31 s', '3 h 5 min'."""
    total = round(seconds)
    units = [(total // 3600, "h"), (total // 60 % 60, "min"), (total % 60, "s")]
    first = next((i for i, (number, _) in enumerate(units) if number), 2)
    parts = units[first : first + 2]
    return " ".join(f"{n} {unit}" for i, (n, unit) in enumerate(parts) if n or i == 0)


def jobs(count: int) -> str:
    """A number of jobs in words."""
    return f"{count} job{'s' * (count != 1)}"


class Job(NamedTuple):
    """A job: its rule, what it is called, and when it started, in seconds since the epoch."""

    rule: str
    name: str
    started: float
    model: str = ""

    @classmethod
    def of(cls, rule: str, wildcards: Mapping[str, str], started: float) -> Job:
        """Name a job in words: 'train ldm on digits, seed 0', 'fetch digits', 'league'."""
        dataset, model = (wildcards.get(name, "") for name in ("dataset", "model"))
        subject = f" {model} on {dataset}" if model else f" {dataset}" if dataset else ""
        seed = [f"seed {wildcards['seed']}"] if "seed" in wildcards else []
        details = seed + [wildcards[name] for name in ("row", "extractor") if name in wildcards]
        name = rule.replace("_", " ") + subject
        return cls(rule, ", ".join([name, *details]), started, model)


class Progress:
    """The jobs of a run.

    Args:
        planned: how many jobs of each rule there are to do.
    """

    def __init__(self, planned: Mapping[str, int]) -> None:
        self.waiting = Counter(planned)
        self.running: dict[int, Job] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)  # of finished jobs, by their rules
        self.total = self.waiting.total()
        self.began = float("inf")
        self.estimates = False

    def __len__(self) -> int:
        return self.total

    @property
    def done(self) -> int:
        """How many jobs are finished."""
        return sum(map(len, self.seconds.values()))

    def age(self, now: float) -> float:
        """The seconds since the first job started."""
        return max(0.0, now - self.began)

    def start(self, jobid: int, job: Job) -> None:
        """Note that a job starts."""
        self.began = min(self.began, job.started)
        self.running[jobid] = job
        self.waiting[job.rule] -= 1

    def finish(self, jobid: int, now: float) -> tuple[Job, float] | None:
        """Note that a job is done; return it and its seconds, or None if it never started here."""
        job = self.running.pop(jobid, None)
        if job is None:
            return None
        self.seconds[job.rule].append(now - job.started)
        return job, now - job.started

    def fail(self, jobid: int) -> Job | None:
        """Note that a job failed, and return it; it may start again."""
        job = self.running.pop(jobid, None)
        if job is not None:
            self.waiting[job.rule] += 1
        return job

    def left(self, now: float) -> float | None:
        """The seconds that the rest will take; None until that can be told.

        Every job left is taken to last as long as the finished ones of its rule on the mean, and
        to run beside as many others as jobs did so far. A rule of which none is finished counts
        like the mean job. That says little while many of the jobs left are of such rules, as
        before the first training is done; so nothing is said until two thirds are of others.
        """
        timed = sum(self.waiting[rule] for rule in self.seconds)
        self.estimates |= bool(self.seconds) and 3 * timed >= 2 * self.waiting.total()
        if not self.estimates:
            return None
        overall = fmean(second for seconds in self.seconds.values() for second in seconds)
        means = {rule: fmean(seconds) for rule, seconds in self.seconds.items()}
        running = [
            max(0.0, means.get(job.rule, overall) - (now - job.started))
            for job in self.running.values()
        ]
        waiting = sum(n * means.get(rule, overall) for rule, n in self.waiting.items())
        ages = sum(now - job.started for job in self.running.values())
        busy = sum(map(sum, self.seconds.values())) + ages
        at_a_time = max(busy / max(self.age(now), 1e-9), 1e-9)
        return max((waiting + sum(running)) / at_a_time, *running, 0.0)
