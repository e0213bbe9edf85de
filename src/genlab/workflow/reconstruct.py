"""The stage `reconstruct`: held-out images, encoded and decoded again."""

from __future__ import annotations

import torch

from genlab.data.pictures import save_grid
from genlab.errors import GenLabError
from genlab.evaluation.reconstruction import mean_psnr, squared_errors
from genlab.io.arrays import array_writer, read_array
from genlab.models.batches import in_parts, to_uint8
from genlab.models.capabilities import Reconstructs
from genlab.models.devices import pick_device
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record
from genlab.workflow.models import load_trained

PAIRS = 32  # images on the sheet, each beside its reconstruction


@torch.no_grad()
def reconstruct(run: RunFolder, *, batch_size: int = 500, cpu: bool = False) -> None:
    """Encode and decode all held-out images; write them, MSE and PSNR on [0, 1], a sheet of pairs.

    Raises:
        GenLabError: the family doesn't reconstruct.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_trained(run, device, origin)
    if not isinstance(model, Reconstructs):
        raise GenLabError(
            f"{run.folder}: {type(model).__name__} has no encoder to reconstruct with"
        )
    images = read_array(run.data.images("test"))
    errors, pairs = [], []
    with array_writer(run.reconstructed, images.shape, "uint8", origin) as reconstructed:
        for k, real in enumerate(in_parts(images, device, batch_size)):
            start = k * batch_size
            decoded = model.reconstruct(real).clamp(0, 1)
            reconstructed[start : start + len(real)] = to_uint8(decoded).cpu().numpy()
            errors.append(squared_errors(decoded, real).double().cpu())
            pairs.append(torch.stack([real, decoded], dim=1)[:: max(1, len(images) // PAIRS)])
    mse = torch.cat(errors)
    measured = {
        "reconstruction_mse": float(mse.mean()),
        "reconstruction_psnr": mean_psnr(mse),
    }
    sheet = run.reconstructions / "pairs.png"
    in_turn = torch.cat(pairs)[:PAIRS].flatten(0, 1)  # image, reconstruction, image, ...
    save_grid(sheet, to_uint8(in_turn).cpu().numpy(), columns=8)
    content = {**measured, "images": len(images)}
    write_measured(run.reconstructions / "metrics.json", content, origin)
    leave_record(run, "reconstruct", metrics=measured, artifacts=[sheet])
