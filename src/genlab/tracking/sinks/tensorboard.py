"""TensorBoard: event files in results/STUDY/tensorboard/DATASET/MODEL/seedK, rows in folders below.

`tensorboard --logdir results/STUDY/tensorboard` shows all runs of a study.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.description import run_name
from genlab.tracking.record import artifact_name, step_metrics
from genlab.tracking.sink import Sink, Status


class TensorBoardSink(Sink):
    """The event files of a run and of its rows; every opening adds one.

    The writer is TensorBoard's own, because torch's SummaryWriter would import all of torch.
    """

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        self.id = spec.digest
        self.folder = run.study.tensorboard / run_name(spec)

    @classmethod
    def enabled(cls, tracking: TrackingConfig) -> bool:
        return tracking.tensorboard

    def find(self, ids: Sequence[str]) -> str | None:
        return self.id if self.id in ids and any(self.folder.glob("events.*")) else None

    def open(self, run_id: str | None) -> None:
        if run_id is None and self.folder.exists():
            shutil.rmtree(self.folder)
        self.writers = {self.folder: _writer(self.folder)}

    def _add(self, folder: Path, step: int, time: float, **value: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value)])
        if folder not in self.writers:
            self.writers[folder] = _writer(folder)
        self.writers[folder].add_event(Event(step=step, wall_time=time, summary=summary))

    def steps(self, rows: list[Row]) -> None:
        for row in rows:
            for name, value in step_metrics(row).items():
                self._add(self.folder, int(row["step"]), row["time"], tag=name, simple_value=value)

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        now, to = time.time(), self.folder / (record["row"] or "")
        if record["params"]:
            self._add(to, 0, now, **_hyperparameters(record["params"]))
        for name, value in record["metrics"].items():
            self._add(to, 0, now, tag=name, simple_value=value)
        for path in record["artifacts"]:
            if path.endswith(".png"):
                width, height = Image.open(folder / path).size
                content = (folder / path).read_bytes()
                picture = Summary.Image(
                    width=width, height=height, colorspace=3, encoded_image_string=content
                )
                self._add(to, 0, now, tag=artifact_name(path), image=picture)

    def close(self, status: Status) -> None:
        for writer in self.writers.values():
            writer.close()


def _writer(folder: Path) -> Any:
    """Open a new event file in `folder`."""
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder.mkdir(parents=True, exist_ok=True)
    return EventFileWriter(str(folder))


def _hyperparameters(params: dict[str, Any]) -> dict[str, Any]:
    """The value of a summary by which TensorBoard's page HPARAMS lists the run.

    Its columns of metrics are all scalars of the run. TensorBoard's own function for it needs
    TensorFlow.
    """
    from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION)
    for name, value in params.items():
        entry = content.session_start_info.hparams[name]
        if isinstance(value, bool):
            entry.bool_value = value
        elif isinstance(value, int | float):
            entry.number_value = value
        else:
            entry.string_value = str(value)
    plugin = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString()
    )
    return {
        "tag": metadata.SESSION_START_INFO_TAG,
        "metadata": SummaryMetadata(plugin_data=plugin),
    }
