"""A sweep from its file to its table of results, interrupted and resumed."""
