"""A protein's field and its surfaces, from a model."""
