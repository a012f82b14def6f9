"""The surface store: preparing, writing, reading and splitting it."""
