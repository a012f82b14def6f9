"""One trial: its workers, what it reports, and what it keeps on disk."""
