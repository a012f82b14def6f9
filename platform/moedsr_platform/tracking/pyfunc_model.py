"""The registered model as MLflow loads it: this file is stored as text and run again, never unpickled."""

import numbers
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from moedsr.errors import InputError
from moedsr.inference.inference import SurfacePredictor

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
            model_input: a row a structure: ``pdb`` the text of a PDB or mmCIF file; and, where wanted, ``times``
                (normalised instants in [-1, 1], default five evenly spread), ``resolution`` (grid nodes per
                axis, default 128) and ``chain``.
            params: unused.

        Returns:
            A row for each structure and time: ``structure`` (row number of the input), ``time``, ``vertices``
            (V × 3, Å, in the file's own coordinates), ``faces`` (T × 3), ``touches_border``.

        Raises:
            MlflowException: wrong input, one line; a server answers it with status 400.
        """
        return pd.DataFrame([row for number in range(len(model_input)) for row in self._surfaces(model_input, number)])

    def _surfaces(self, table: pd.DataFrame, number: int) -> Iterator[dict[str, Any]]:
        row = table.iloc[number]
        text = str(row["pdb"])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / ("structure.cif" if "_atom_site." in text else "structure.pdb")
            file.write_text(text, encoding="utf-8")
            try:
                for surface in self.predictor.predict(
                    file,
                    _times(_given(row, "times", ALL_OF_TIME)),
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
            except InputError as error:
                raise MlflowException.invalid_parameter_value(f"structure {number}: {_said(error, file)}") from error


def _said(error: InputError, file: Path) -> str:
    """In words of a request, which knows neither our temporary file nor the options of a command."""
    return str(error).replace(f"{file}: ", "").replace("--chain (data.prepare.chains)", "`chain`")


def _times(given: Any) -> list[float]:
    """Whole numbers are as good as decimals; MLflow's own schema would refuse them."""
    wrong = [time for time in given if isinstance(time, str | bool) or not isinstance(time, numbers.Real)]
    if wrong:
        raise InputError(f"times holds {wrong[0]!r}, but must hold numbers within [-1, 1]")
    return [float(time) for time in given]


def _given(row: "pd.Series[Any]", column: str, default: Any) -> Any:
    value = row.get(column)
    missing = value is None or (isinstance(value, float) and value != value)
    return default if missing else value


mlflow.models.set_model(SurfaceModel())
