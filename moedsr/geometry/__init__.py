"""Shapes in space, without learning: surfaces, meshes, level sets, neighbours."""
