"""Short molecular dynamics of one protein, for those that no ensemble exists of. Needs the extra ``md``."""
