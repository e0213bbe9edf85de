"""The typed study: its schema, how it is loaded from files, and what is checked before any job."""

from genlab.config.study.load import load_dataset, load_sampler, load_study
from genlab.config.study.presets import load_model
from genlab.config.study.schema import (
    EvaluationConfig,
    ModelEntry,
    Study,
    StudyFile,
    TrackingConfig,
    TrainingConfig,
)

__all__ = [
    "EvaluationConfig",
    "ModelEntry",
    "Study",
    "StudyFile",
    "TrackingConfig",
    "TrainingConfig",
    "load_dataset",
    "load_model",
    "load_sampler",
    "load_study",
]
