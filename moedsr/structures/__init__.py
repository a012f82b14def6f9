"""What users bring: structures, trajectories and ensembles, read, checked and superposed."""
