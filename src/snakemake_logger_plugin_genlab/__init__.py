"""Snakemake's logger plugin `genlab`: a line per job, the remaining time, the path of the report.

Snakemake finds the plugin by the package's name; `logger: [genlab]` in a profile selects it. With
`--verbose`, Snakemake's own long format is shown instead. It is always written to .snakemake/log.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_genlab.outcome import outcome
from snakemake_logger_plugin_genlab.plan import Plan
from snakemake_logger_plugin_genlab.progress import Job, Progress, duration, jobs

TARGET = "all"  # the rule that only names the study's results; it is not counted as a job
LOG_LINES = 40  # number of lines of a failed job's log that are shown
SHOWN = (
    "Trying to restart job",
    "Terminating processes on user request",
    "Will exit after finishing currently running jobs",
    "Waiting at most",
    "Unlocked working directory",
)
"""Beginnings of messages without an event that are shown during a run."""
HIDDEN = (
    "Assuming unrestricted shared filesystem usage",
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
)
"""Beginnings of warnings and errors that are hidden; for failed jobs their log is shown instead."""
LAST_ERROR = "WorkflowError:\nAt least one job did not complete"


class Screen:
    """A stream of lines; a terminal also shows a status line below them, which is overwritten."""

    def __init__(self, stream: TextIO, plain: bool) -> None:
        self.stream = stream
        self.terminal = not plain and stream.isatty() and os.environ.get("TERM") != "dumb"
        self.shown = ""

    def print(self, text: str) -> None:
        """Write lines that remain."""
        self.status("")
        self.stream.write(text + "\n")
        self.stream.flush()

    def status(self, text: str) -> None:
        """Write the status line, cut to the terminal's width; without a terminal do nothing."""
        if self.terminal and text != self.shown:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[2K" + text[:width])
            self.stream.flush()
            self.shown = text


class LogHandler(LogHandlerBase):
    """Shows the events of a run, or a table of the jobs of a dry run with their reasons."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False  # Snakemake's own filter implements --quiet
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        self.screen = Screen(stream, settings.nocolor)
        self.long = ColorizingTextHandler(
            settings.nocolor, stream, DefaultFormatter(settings.quiet, settings.show_failed_logs)
        )
        self.started = False  # set by WORKFLOW_STARTED; other commands of Snakemake run no jobs
        self.study: Any = None
        self.workflow: Any = None
        self.plan = Plan()
        self.progress = Progress({})
        self.failed: dict[int, tuple[Job, list[str]]] = {}
        self.log_file = ""
        self.closed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record in the short or the long format."""
        try:
            if hasattr(record, "study"):
                self.study, self.workflow = record.study, record.workflow  # type: ignore[attr-defined]
                return
            if self.common_settings.verbose:
                self.long.emit(record)
            self._follow(record, getattr(record, "event", None))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End the status line."""
        self.closed.set()
        self.screen.status("")
        super().close()

    def _show(self, text: str) -> None:
        if not self.common_settings.verbose:
            self.screen.print(text)

    def _follow(self, record: Any, event: LogEvent | None) -> None:
        """Update the state of the run, and show the event."""
        if event == LogEvent.WORKFLOW_STARTED:
            self.started = True
        elif event == LogEvent.RUN_INFO:
            counts = {k: n for k, n in record.stats.items() if k not in (TARGET, "total")}
            self._begin(Progress(counts))
        elif event == LogEvent.JOB_INFO:
            self._job_info(record)
        elif event == LogEvent.JOB_FINISHED:
            self._job_finished(record)
        elif event == LogEvent.JOB_ERROR:
            self._job_error(record)
        elif event == LogEvent.PROGRESS and record.done == record.total:
            age = duration(self.progress.age(record.created))
            self._end(f"{jobs(len(self.progress))} done in {age}")
        elif event in (None, LogEvent.ERROR):
            self._message(record, record.getMessage())
        self._status()

    def _begin(self, progress: Progress) -> None:
        """Start to follow a run with its numbers of jobs."""
        if self.common_settings.dryrun or len(self.progress):
            return
        self.progress = progress
        self._show(f"{jobs(len(progress))} to do")
        if self.screen.terminal and not self.common_settings.verbose:
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        """Write the status every second, so that the elapsed times are current."""
        while not self.closed.wait(1):
            with self.lock:  # type: ignore[union-attr]
                self._status()

    def _job_info(self, record: Any) -> None:
        if record.rule_name == TARGET:
            return
        job = Job.of(record.rule_name, record.wildcards, record.created)
        if self.common_settings.dryrun:
            self.plan.add(job, record.reason)
        else:
            self.failed.pop(record.jobid, None)  # a retry
            self.progress.start(record.jobid, job)

    def _job_finished(self, record: Any) -> None:
        if done := self.progress.finish(record.job_id, record.created):
            job, seconds = done
            left = "" if self.screen.terminal else self._left(record.created)
            counts = f"{self.progress.done}/{len(self.progress)}"
            self._show(f"{counts}  {job.name}: {duration(seconds)}{left}")

    def _job_error(self, record: Any) -> None:
        job = self.progress.fail(record.jobid) or Job(record.rule_name, record.rule_name, 0)
        self.failed[record.jobid] = job, list(record.log)
        self._show(f"FAILED: {job.name}")
        for detail in filter(None, [record.rule_msg, *map(str, record.aux.values())]):
            self._show(f"  {detail}")
        for path in record.log:
            self._show(f"  log: {path}")
            if self.common_settings.show_failed_logs:
                self._show("\n".join(f"  | {line}" for line in last_lines(path)))

    def _message(self, record: Any, text: str) -> None:
        """Show a message without an event: the end of a run, a warning, an error."""
        if text == NOTHING_TO_BE_DONE_MSG:
            self._end("Nothing to do: everything is up to date")
        elif text.startswith("Complete log(s): "):
            self.log_file = text.removeprefix("Complete log(s): ")
        elif text.startswith("This was a dry-run"):
            self._show(self.plan.table())
        elif self.failed and text.startswith(LAST_ERROR):
            self._show(self._failures())
        elif text.startswith(HIDDEN):
            pass
        elif record.levelno >= logging.WARNING or text.startswith(SHOWN) or not self.started:
            self._show(text.strip("\n"))

    def _left(self, now: float) -> str:
        """Return the estimate of the remaining time in words; empty if there is none."""
        left = self.progress.left(now)
        if left is None or self.progress.done == len(self.progress):
            return ""
        rounded = round(left, -1) if left < 90 else 60 * round(left / 60)
        return f"; {'at most ' if self.failed else ''}about {duration(max(rounded, 10))} left"

    def _status(self) -> None:
        if self.common_settings.verbose or not self.progress.running:
            return
        now = time.time()
        names = [f"{j.name} ({duration(now - j.started)})" for j in self.progress.running.values()]
        counts = f"{self.progress.done}/{len(self.progress)}{self._left(now)}"
        self.screen.status(f"{counts}; running: {', '.join(names)}")

    def _failures(self) -> str:
        """Return which jobs failed, and what to do."""
        missed = len(self.progress) - self.progress.done - len(self.failed)
        not_started = f", {missed} did not start" if missed else ""
        lines = [f"{len(self.failed)} of {jobs(len(self.progress))} failed{not_started}:"]
        lines += [f"  {job.name}: {', '.join(logs)}" for job, logs in self.failed.values()]
        lines += [f"Snakemake's own log: {self.log_file}"] if self.log_file else []
        return "\n".join([*lines, "Run the same command again to continue from here"])

    def _end(self, message: str) -> None:
        """Print the last message, and after a whole study its outcome."""
        self.screen.print(message)
        targets = self.workflow.dag.targetjobs if self.workflow else []
        if any(job.rule.name == TARGET for job in targets):
            self.screen.print(outcome(self.study))


def last_lines(path: str) -> list[str]:
    """Return the last lines of a log, or the reason why it can't be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return [f"({error.strerror})"]
    omitted = [f"({len(lines) - LOG_LINES} lines before)"] if len(lines) > LOG_LINES else []
    return omitted + lines[-LOG_LINES:] or ["(empty)"]
