"""Ensembles of conformations: read, turned into surfaces, kept in a surface store."""
