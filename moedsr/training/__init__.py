"""One training: losses, optimiser, checkpoints, data parallelism."""
