"""What runs in MLflow are found and told apart by: the experiment, and the names of their tags."""

import os

EXPERIMENT = "moe-dsr"


def experiment_name() -> str:
    """The experiment that runs are in: $MLFLOW_EXPERIMENT_NAME, as for MLflow itself, else ``moe-dsr``."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


KEY_TAG = "moedsr.run_key"
"""The name of a run that its sweep gave it, unlike any other's in the store."""
PARENT_TAG = "mlflow.parentRunId"
STATE_TAG = "moedsr.state"

SWEEP_TAG = "moedsr.sweep_id"
TRIAL_TAG = "moedsr.trial_id"
BEST_TAG = "moedsr.best_run"
OBJECTIVE_TAG, MODE_TAG = "moedsr.objective", "moedsr.mode"
DASHBOARD_TAG, TRAIN_RUNS_TAG = "moedsr.ray_dashboard", "moedsr.ray_train_runs"
STORE_TAG, COMMIT_TAG = "moedsr.store_fingerprint", "moedsr.git_commit"
