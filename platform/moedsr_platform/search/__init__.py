"""Which point comes next, and which trial goes on: Optuna behind Tune."""
