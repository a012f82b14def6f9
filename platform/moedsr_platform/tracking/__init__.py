"""The only code that writes to MLflow: runs, their artifacts, registered models."""
