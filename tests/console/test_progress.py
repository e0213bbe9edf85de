"""Names, times and the estimate of what is left."""

from __future__ import annotations

import pytest

from snakemake_logger_plugin_genlab.progress import Job, Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (151, "2 min 31 s"), (3600, "1 h"),
     (3601, "1 h"), (11_100, "3 h 5 min")],
)  # fmt: skip
def test_a_time_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("rule", "wildcards", "name"),
    [
        ("store", {}, "store"),
        ("fetch", {"dataset": "digits"}, "fetch digits"),
        ("train", {"dataset": "digits", "model": "ldm", "seed": "0"},
         "train ldm on digits, seed 0"),
        ("reference_features", {"dataset": "digits", "split": "train"},
         "reference features digits, train"),
        ("features", {"dataset": "d", "model": "m", "seed": "1", "row": "r"},
         "features m on d, seed 1, r"),
    ],
)  # fmt: skip
def test_a_job_is_called_in_words(rule: str, wildcards: dict[str, str], name: str) -> None:
    assert Job.of(rule, wildcards, 0).name == name


def ran(progress: Progress, rule: str, *times: tuple[float, float]) -> None:
    for i, (started, ended) in enumerate(times):
        jobid = hash((rule, i))
        progress.start(jobid, Job(rule, rule, started))
        assert progress.finish(jobid, ended) == (Job(rule, rule, started), ended - started)


def test_nothing_is_said_before_the_jobs_left_are_known() -> None:
    progress = Progress({"fetch": 1, "train": 5, "report": 2})
    assert progress.left(0) is None
    ran(progress, "fetch", (0, 1))
    assert progress.left(1) is None  # a second of fetching says nothing about training
    ran(progress, "train", (1, 101))
    # 4 x 100 s of training, and two reports like the mean of 1 and 100 s, one after the other
    assert progress.left(101) == pytest.approx(4 * 100 + 2 * 50.5)


def test_what_runs_side_by_side_takes_less() -> None:
    """Two at a time so far: of six jobs of 10 s left, two began 4 s ago."""
    progress = Progress({"sample": 8})
    ran(progress, "sample", (0, 10), (0, 10))
    for jobid in (3, 4):
        progress.start(jobid, Job("sample", "sample", 10))
    assert progress.left(14) == pytest.approx((4 * 10 + 2 * 6) / 2)


def test_the_last_job_has_none_beside_it() -> None:
    progress = Progress({"sample": 3})
    ran(progress, "sample", (0, 10), (0, 10))
    progress.start(3, Job("sample", "sample", 10))
    assert progress.left(14) == pytest.approx(6)


def test_a_failed_job_is_left_to_do() -> None:
    progress = Progress({"sample": 2})
    ran(progress, "sample", (0, 10))
    progress.start(7, Job("sample", "sample", 10))
    assert progress.fail(7) == Job("sample", "sample", 10)
    assert (progress.done, len(progress)) == (1, 2)
    assert progress.left(12) == pytest.approx(10 / (10 / 12))
    assert progress.fail(7) is None
