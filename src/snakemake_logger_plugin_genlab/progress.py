"""The jobs that are planned, running and done, and an estimate of the remaining time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import NamedTuple


def duration(seconds: float) -> str:
    """Return a time with at most two units: '40 s', '2 min 31 s', '3 h 5 min'."""
    total = round(seconds)
    units = [(total // 3600, "h"), (total // 60 % 60, "min"), (total % 60, "s")]
    first = next((i for i, (number, _) in enumerate(units) if number), 2)
    parts = units[first : first + 2]
    return " ".join(f"{n} {unit}" for i, (n, unit) in enumerate(parts) if n or i == 0)


def jobs(count: int) -> str:
    """Return a number of jobs in words."""
    return f"{count} job{'s' * (count != 1)}"


class Job(NamedTuple):
    """A job: its rule, its name, its start in seconds since the epoch, and its model."""

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
        details = seed + [wildcards[name] for name in ("row", "split") if name in wildcards]
        name = rule.replace("_", " ") + subject
        return cls(rule, ", ".join([name, *details]), started, model)


class Progress:
    """The jobs of a run.

    Args:
        planned: number of jobs of each rule.
    """

    def __init__(self, planned: Mapping[str, int]) -> None:
        self.waiting = Counter(planned)
        self.running: dict[int, Job] = {}
        self.seconds: dict[str, list[float]] = defaultdict(
            list
        )  # durations of finished jobs by rule
        self.total = self.waiting.total()
        self.began = float("inf")
        self.estimates = False

    def __len__(self) -> int:
        return self.total

    @property
    def done(self) -> int:
        """Number of finished jobs."""
        return sum(map(len, self.seconds.values()))

    def age(self, now: float) -> float:
        """Return the seconds since the first job started."""
        return max(0.0, now - self.began)

    def start(self, jobid: int, job: Job) -> None:
        """Record that a job starts."""
        self.began = min(self.began, job.started)
        self.running[jobid] = job
        self.waiting[job.rule] -= 1

    def finish(self, jobid: int, now: float) -> tuple[Job, float] | None:
        """Record the end of a job; return it and its duration, or None if it never started here."""
        job = self.running.pop(jobid, None)
        if job is None:
            return None
        self.seconds[job.rule].append(now - job.started)
        return job, now - job.started

    def fail(self, jobid: int) -> Job | None:
        """Record the failure of a job, which may start again; return it."""
        job = self.running.pop(jobid, None)
        if job is not None:
            self.waiting[job.rule] += 1
        return job

    def left(self, now: float) -> float | None:
        """Estimate the remaining seconds; None until an estimate is possible.

        A remaining job is assumed to take the mean duration of its rule's finished jobs, or of all
        finished jobs if there are none of its rule. Jobs are assumed to overlap as much as before.
        The first estimate is made when two thirds of the waiting jobs are of rules with finished
        jobs; before, as until the first training ends, it would be too inaccurate.
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
