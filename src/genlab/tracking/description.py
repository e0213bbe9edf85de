"""What a run or a row is, and when it was made, as tracking services show it."""

from __future__ import annotations

from genlab.config.evaluators import trained_evaluators
from genlab.io.files import read_json
from genlab.io.history import read_history
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.spec import RunSpec, read_samples


def run_name(spec: RunSpec) -> str:
    """The name of a run: DATASET/MODEL/seedK."""
    return f"{spec.dataset}/{spec.name}/seed{spec.seed}"


def run_role(spec: RunSpec) -> str:
    """What a run is trained for: 'evaluator', 'first stage' or 'model'."""
    if spec.name in trained_evaluators():
        return "evaluator"
    return "first stage" if spec.model.generates == "nothing" else "model"


def run_tags(spec: RunSpec) -> dict[str, str]:
    """Tags by which runs are searched and grouped. Evaluators have no tag for the condition."""
    role = run_role(spec)
    return {
        "study": spec.study,
        "dataset": spec.dataset,
        "family": spec.model.family,
        "seed": str(spec.seed),
        "role": role,
        **({} if role == "evaluator" else {"told": spec.model.condition}),
    }


def row_tags(spec: RunSpec, row: str) -> dict[str, str]:
    """The tags of the run of a row."""
    return {**run_tags(spec), "role": "row", "sampler": row}


def run_note(spec: RunSpec) -> str:
    """Say in a sentence or two what a run is."""
    model = f"{spec.name} ({spec.model.family}: {spec.model.variant})"
    place = f"on the data set {spec.dataset}, seed {spec.seed}, in the study {spec.study}"
    match run_role(spec):
        case "evaluator":
            return f"The evaluator {model}, trained {place}. Models are measured by it."
        case "first stage":
            return f"{model}, trained {place}. It draws no samples; other models build on it."
    return f"{model}, trained {place}. Each row of its samples is a run below this one."


def row_note(spec: RunSpec, row: str) -> str:
    """Say in a sentence what the run of a row is."""
    return f"Samples of {run_name(spec)} by the sampler {row}, measured as in the league."


def training_start(run: RunFolder) -> float | None:
    """When the training of a run began, in seconds since 1970; None if it left nothing.

    It leaves its first record right before the first step, and again when it is resumed.
    """
    record = run.outbox / "config.json"
    times = [row["time"] for row in read_history(run.history)[:1]]
    return min(times + ([record.stat().st_mtime] if record.exists() else []), default=None)


def training_end(run: RunFolder) -> float | None:
    """When a run logged its last step, in seconds since 1970; None if it logged none."""
    return next((row["time"] for row in read_history(run.history)[-1:]), None)


def sampling_times(at: SampleFolder) -> tuple[float | None, float | None]:
    """When the samples of a row were drawn, start and end; None without their cost."""
    if not at.cost.exists():
        return None, None
    end = at.cost.stat().st_mtime
    return end - read_json(at.cost)["seconds_per_image"] * read_samples(at.config).samples, end
