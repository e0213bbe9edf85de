"""A trained model as MLflow loads it: `mlflow.pyfunc.load_model("runs:/RUN/model")`.

The file `MLmodel` names this module, and beside it lie the weights. Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from genlab import __version__

if TYPE_CHECKING:
    from genlab.models.base import Model


class Generator:
    """Draws images from a model, by the sampler that `genlab.sample` takes for its family."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Sized, params: dict[str, Any] | None = None) -> NDArray[Any]:
        """Draw an image for each row of `model_input`, whose content plays no part.

        Args:
            params: `seed`, which is 0 unless it is given.

        Returns:
            uint8 [N, C, H, W].
        """
        import genlab

        images: NDArray[Any] = genlab.sample(
            self.model, n=len(model_input), **{"seed": 0, **(params or {})}
        ).numpy()
        return images


def _load_pyfunc(path: str) -> Generator:
    """Load a model from its weights, as MLflow calls it."""
    import genlab

    return Generator(genlab.load(path))


def write_mlflow_model(folder: Path, weights: Path) -> None:
    """Write a model with its weights in MLflow's format into `folder`, which must not exist."""
    from mlflow.models import Model as Description
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import save_model
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.long, "sample")]),
        params=ParamSchema([ParamSpec("seed", DataType.long, 0)]),
    )
    save_model(
        str(folder),
        loader_module=__name__,
        data_path=str(weights),
        pip_requirements=[f"genlab=={__version__}"],
        mlflow_model=Description(signature=signature),  # `signature=` would warn of no example
    )
