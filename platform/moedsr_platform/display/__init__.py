"""What commands show, on a terminal and elsewhere."""
