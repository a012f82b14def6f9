"""What runs in MLflow are found and told apart by: the experiment, and the names of their tags."""

EXPERIMENT = "moe-dsr"

KEY_TAG = "moedsr.run_key"
"""The name of a run that its sweep gave it, unlike any other's in the store."""
PARENT_TAG = "mlflow.parentRunId"
STATE_TAG = "moedsr.state"

SWEEP_TAG = "moedsr.sweep_id"
TRIAL_TAG = "moedsr.trial_id"
BEST_TAG = "moedsr.best_run"
OBJECTIVE_TAG, MODE_TAG = "moedsr.objective", "moedsr.mode"
DASHBOARD_TAG = "moedsr.ray_dashboard"
STORE_TAG, COMMIT_TAG = "moedsr.store_fingerprint", "moedsr.git_commit"
