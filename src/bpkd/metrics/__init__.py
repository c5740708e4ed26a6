"""Measures of a segmentation: over whole images, and near the outlines alone."""
