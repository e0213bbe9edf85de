"""The JSON schema of a study file, by which editors complete and check it: `genlab schema`.

It follows from the typed configurations. What no schema can express is checked by `load_study`
alone: whether files exist, and whether models, samplers and data sets fit each other.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import ModelSchema

from genlab.config.calibration import calibration_rows
from genlab.config.evaluators import extractors, trained_evaluators
from genlab.config.explanations import explanation
from genlab.config.samplers import SAMPLERS
from genlab.config.study.schema import StudyFile, TrainingConfig

TEXT = {"type": "string", "minLength": 1}


class _Explained(GenerateJsonSchema):
    """A schema whose keys carry the docstrings under them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave out titles, which would repeat the keys."""
        return False

    def model_schema(self, schema: ModelSchema) -> dict[str, Any]:
        result = super().model_schema(schema)
        for key, value in result.get("properties", {}).items():
            if text := explanation(schema["cls"], key):
                value["description"] = " ".join(text.split())
        return result


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file, draft 2020-12."""
    configs: list[type[BaseModel]] = [StudyFile, TrainingConfig, *SAMPLERS.values()]
    references, schema = models_json_schema(
        [(config, "validation") for config in configs], schema_generator=_Explained
    )
    parts = schema["$defs"]
    training = references[TrainingConfig, "validation"]
    study = parts.pop("StudyFile")
    study["properties"]["training"] |= training
    study["properties"]["models"]["items"] = {"anyOf": [TEXT, _changed_preset(training)]}
    rows, _ = study["properties"]["samplers"]["anyOf"]  # null leaves them to GenLab
    one = {"oneOf": [references[kind, "validation"] for kind in SAMPLERS.values()]}
    rows["patternProperties"] = dict.fromkeys(rows["patternProperties"], one)
    rows["additionalProperties"] = False
    for kind in SAMPLERS.values():
        sampler = parts[kind.__name__]
        sampler["required"] = ["sampler"]
        sampler["properties"]["models"] = {"type": "array", "items": TEXT, "minItems": 1}
    for evaluator in trained_evaluators().values():
        if evaluator.section:
            section = study["properties"][evaluator.section]["$ref"].rpartition("/")[2]
            parts[section]["properties"][evaluator.key] |= training
    evaluation = parts["EvaluationConfig"]["properties"]
    evaluation["extractors"]["items"] = {"enum": [*extractors()]}
    evaluation["calibration"]["items"] = {"enum": [*calibration_rows()]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **study,
        "$defs": parts,
    }


def _changed_preset(training: dict[str, Any]) -> dict[str, Any]:
    """The schema of `{preset: NAME, name: ANOTHER, key: value ...}`."""
    return {
        "type": "object",
        "properties": {"preset": TEXT, "name": TEXT, "training": training},
        "required": ["preset"],
    }
