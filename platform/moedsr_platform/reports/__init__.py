"""Tables and pictures from the tracked runs alone."""
