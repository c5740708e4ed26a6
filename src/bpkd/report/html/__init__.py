"""Runs as one page for a browser: no network, no other file; to be opened and mailed."""
