"""Walking a data set before a network does: every broken pair, and what the classes look like."""
