"""The losses in one's own loop or framework; each file runs by itself, on the embedded scenes."""
