"""The stage `disentangle`: MIG and DCI of a run's latents, on data whose factors are known."""

from __future__ import annotations

from genlab.errors import GenLabError
from genlab.evaluation.disentanglement import measure_model
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.devices import pick_device
from genlab.models.latents import as_encoder
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record
from genlab.workflow.models import load_trained


def disentangle(run: RunFolder, *, cpu: bool = False) -> None:
    """Measure how well the run's latents encode the factors of its data set.

    Writes disentanglement.json.

    Raises:
        GenLabError: the family has no latent vector, or the factors of the data set are unknown.
    """
    sizes = read_json(run.data.manifest).get("factors")
    if sizes is None:
        raise GenLabError(
            f"{run.data.manifest}: no factors: MIG and DCI need a data set whose factors of "
            f"variation are known, and those of '{run.dataset}' are not"
        )
    device, origin = pick_device(cpu), run_origin(run)
    model = as_encoder(load_trained(run, device, origin))
    splits = {
        split: (read_array(run.data.images(split)), read_array(run.data.factors(split)))
        for split in ("train", "test")
    }
    content = measure_model(model, splits, list(sizes), device)
    write_measured(run.disentanglement, content, origin)
    metrics = {name: value for name, value in content.items() if isinstance(value, float)}
    leave_record(run, "disentangle", metrics=metrics, artifacts=[run.disentanglement])
