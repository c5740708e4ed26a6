"""Data sets, the training transforms and the loaders that feed them to a network.

A data set yields ``(image, labels)``: a uint8 RGB image (3, H, W) and an integer label map (H, W).
It has ``classes``, ``palette``, ``ignore_index`` and ``name(i)``. One of instances says so by
``task = "instance"``, yields ``(image, Instances)``, see :mod:`bpkd.datasets.instances`, and needs
no ``ignore_index``.
"""
