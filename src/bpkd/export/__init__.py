"""Out of the lab: a network as a file, proven to be the same network."""
