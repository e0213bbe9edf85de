"""Mirror a run while it is training."""

from __future__ import annotations

import os
import threading

from genlab.io.files import read_json
from genlab.results.layout import RunFolder
from genlab.tracking.mirror import mirror
from genlab.tracking.sink import Status
from genlab.tracking.sinks.mlflow import SystemMetrics


class BackgroundMirror:
    """Keeps the tracking services up to date in a thread, without delaying the training.

    With GENLAB_TRACKING=publish in the environment it sends nothing; `publish` sends everything.
    """

    def __init__(self, run: RunFolder, system_metrics: bool) -> None:
        self.run, self.system_metrics = run, system_metrics
        self.thread: threading.Thread | None = None
        self.monitor: SystemMetrics | None = None
        self.live = os.environ.get("GENLAB_TRACKING") != "publish"

    def _work(self) -> None:
        mirror(self.run, "RUNNING")
        if self.system_metrics and self.monitor is None:
            note = self.run.outbox / "sent_mlflow.json"
            if note.exists() and (run_id := read_json(note)["current"]):
                self.monitor = SystemMetrics(self.run, run_id)

    def update(self) -> None:
        """Start to send what is new, unless an update is in progress."""
        if self.live and (self.thread is None or not self.thread.is_alive()):
            self.thread = threading.Thread(target=self._work, daemon=True)
            self.thread.start()

    def finish(self, status: Status) -> None:
        """Wait for the update in progress, then send the rest."""
        if self.thread is not None:
            self.thread.join()
        if self.monitor is not None:
            self.monitor.stop()
        if self.live:
            mirror(self.run, status)
