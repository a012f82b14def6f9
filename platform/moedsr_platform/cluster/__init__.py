"""The Ray cluster: its machines, jobs on it, and surfaces prepared on it."""
