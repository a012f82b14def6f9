"""A model as MLflow stores it: code, configuration and weights that load anywhere, without Ray or pickle."""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import moedsr
from moedsr_platform.tracking.model_reference import CHECKPOINT
from moedsr_platform.tracking.run_artifacts import copy_checkpoint

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

REQUIREMENTS = (
    "torch", "e3nn", "torch-cluster", "mdtraj", "biopython", "numba", "scikit-image",
    "scipy", "numpy", "pandas", "safetensors", "pydantic", "pyyaml", "mlflow-skinny",
)  # fmt: skip
"""What using a model imports: no Ray, no Optuna, no plotting, no MLflow server."""


@contextmanager
def model_folder(checkpoint: Path, run_id: str, model_id: str) -> Iterator[Path]:
    """The model as MLflow stores it, in a temporary folder."""
    import mlflow
    from mlflow.models import Model

    with tempfile.TemporaryDirectory(prefix="moedsr-model-") as name:
        scratch = Path(name)
        copy_checkpoint(checkpoint, scratch / CHECKPOINT)
        folder = scratch / "model"
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={CHECKPOINT: str(scratch / CHECKPOINT)},
            code_paths=[str(_stage_package(scratch / "code"))],
            signature=_signature(),
            input_example=_input_example(),
            pip_requirements=[_pinned(name) for name in REQUIREMENTS],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )
        for cache in folder.rglob("__pycache__"):
            shutil.rmtree(cache)
        yield folder


def _stage_package(folder: Path) -> Path:
    """The moedsr package without its bundled proteins and pictures."""
    package = Path(moedsr.__file__).parent
    unneeded = shutil.ignore_patterns("__pycache__", "mini_atlas", "images")
    return Path(shutil.copytree(package, folder / "moedsr", ignore=unneeded))


def _pinned(name: str) -> str:
    """``name==version`` of what is installed, without a build's local part such as +cpu."""
    return f"{name}=={importlib.metadata.version(name).split('+')[0]}"


def _signature() -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    inputs = [
        ColSpec(DataType.string, "pdb"),
        ColSpec(Array(AnyType()), "times", required=False),  # as doubles, whole numbers would be refused
        ColSpec(DataType.long, "resolution", required=False),
        ColSpec(DataType.string, "chain", required=False),
    ]
    outputs = [
        ColSpec(DataType.long, "structure"),
        ColSpec(DataType.double, "time"),
        ColSpec(Array(Array(DataType.double)), "vertices"),
        ColSpec(Array(Array(DataType.long)), "faces"),
        ColSpec(DataType.boolean, "touches_border"),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _input_example() -> Any:
    """A whole small protein (20 residues), so that the example is one that really runs."""
    import pandas as pd

    pdb = Path(moedsr.__file__).parent / "structures" / "mini_atlas" / "1l2y_A" / "1l2y_A.pdb"
    if not pdb.is_file():
        return None
    return pd.DataFrame({"pdb": [pdb.read_text(encoding="utf-8")], "times": [[-1.0, 1.0]], "resolution": [64]})
