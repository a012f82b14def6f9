"""Scores of predicted surfaces beside the baselines."""
