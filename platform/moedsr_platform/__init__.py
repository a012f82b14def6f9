"""The sweep platform around MoE-DSR: the only code that knows Ray, Optuna and MLflow."""
