"""What `moedsr evaluate` found, kept with the run that made the model: reports need the tracking store alone."""

import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moedsr.errors import InputError
from moedsr.evaluation.scores import TRACKED, Evaluation
from moedsr_platform.tracking.model_reference import CHECKPOINT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FOLDER = "evaluation"


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """Scores on all proteins of one split, or of a store without splits."""

    split: str
    store_fingerprint: str
    grid_stride: int
    evaluation: Evaluation

    def log(self, client: "MlflowClient", run_id: str) -> None:
        """Artifact ``evaluation/<split>.json`` and metrics ``evaluation/<split>/iou`` …; replaces an earlier one.

        ``val/iou`` … are the trial's own curves, on fewer frames and a coarser grid.
        """
        from mlflow.entities import Metric

        content = {
            "split": self.split,
            "store_fingerprint": self.store_fingerprint,
            "grid_stride": self.grid_stride,
            "scores": json.loads(self.evaluation.to_json()),
        }
        client.log_text(run_id, json.dumps(content), f"{FOLDER}/{self.split}.json")
        numbers = {metric: self.evaluation.mean("model", metric) for metric in TRACKED}
        numbers["gap_closed"] = self.evaluation.mean_gap_closed()
        now = time.time_ns() // 1_000_000
        metrics = [
            Metric(f"{FOLDER}/{self.split}/{name}", value, now, 0)
            for name, value in numbers.items()
            if math.isfinite(value)
        ]
        client.log_batch(run_id, metrics=metrics)

    @classmethod
    def load(cls, client: "MlflowClient", run: "Run", split: str) -> "EvaluationRecord":
        """The record of a run.

        Raises:
            InputError: the run's model was never scored on that split; says how to.
        """
        path = f"{FOLDER}/{split}.json"
        if path not in [file.path for file in client.list_artifacts(run.info.run_id, FOLDER)]:
            if not client.list_artifacts(run.info.run_id, CHECKPOINT):
                raise InputError(f"run {run.info.run_name} has no model: it was never validated")
            raise InputError(
                f"run {run.info.run_name} was not scored on the {split} split yet: "
                f"`moedsr evaluate {run.info.run_id} --split {split}`"
            )
        with tempfile.TemporaryDirectory() as folder:
            text = Path(client.download_artifacts(run.info.run_id, path, folder)).read_text(encoding="utf-8")
        content = json.loads(text)
        return cls(
            split=content["split"],
            store_fingerprint=content["store_fingerprint"],
            grid_stride=content["grid_stride"],
            evaluation=Evaluation.from_json(json.dumps(content["scores"])),
        )
