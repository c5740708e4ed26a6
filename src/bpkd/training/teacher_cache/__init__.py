"""What the teacher said of each draw, kept on disk and read by later runs."""
