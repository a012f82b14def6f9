"""The registered model as MLflow loads it: this file is stored as text and run again, never unpickled."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from moedsr.inference import SurfacePredictor

DEFAULT_RESOLUTION = 128
ALL_OF_TIME = (-1.0, -0.5, 0.0, 0.5, 1.0)


class SurfaceModel(mlflow.pyfunc.PythonModel):
    """PDB text in, one surface for each time out."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        self.predictor = SurfacePredictor.load(Path(context.artifacts["checkpoint"]))

    def predict(
        self,
        context: mlflow.pyfunc.PythonModelContext,
        model_input: pd.DataFrame,
        params: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Surfaces of every structure at its times.

        Args:
            context: unused.
            model_input: a row a structure: ``pdb`` the text of a PDB file; and, where wanted, ``times``
                (normalised instants in [-1, 1], default five evenly spread), ``resolution`` (grid nodes per
                axis, default 128) and ``chain``.
            params: unused.

        Returns:
            A row for each structure and time: ``structure`` (row number of the input), ``time``, ``vertices``
            (V × 3, Å, in the PDB's own coordinates), ``faces`` (T × 3), ``touches_border``.
        """
        return pd.DataFrame([row for number in range(len(model_input)) for row in self._surfaces(model_input, number)])

    def _surfaces(self, table: pd.DataFrame, number: int) -> Iterator[dict[str, Any]]:
        row = table.iloc[number]
        times = [float(time) for time in _given(row, "times", ALL_OF_TIME)]
        with tempfile.TemporaryDirectory() as folder:
            pdb = Path(folder) / "input.pdb"
            pdb.write_text(str(row["pdb"]), encoding="utf-8")
            for surface in self.predictor.predict(
                pdb,
                times,
                chain=_given(row, "chain", None),
                resolution=int(_given(row, "resolution", DEFAULT_RESOLUTION)),
            ):
                yield {
                    "structure": number,
                    "time": float(surface.time),
                    "vertices": surface.mesh.vertices.tolist(),
                    "faces": surface.mesh.faces.tolist(),
                    "touches_border": bool(surface.touches_border),
                }


def _given(row: "pd.Series[Any]", column: str, default: Any) -> Any:
    value = row.get(column)
    missing = value is None or (isinstance(value, float) and value != value)
    return default if missing else value


mlflow.models.set_model(SurfaceModel())
