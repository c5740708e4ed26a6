"""Other tools' annotations, one file a format: what each holds, read into label maps or instances.

A format is a module with two functions: ``recognised(tree)``, whether a folder holds it, and
``read(tree, classes)``, its samples. The catalogue lists them all.
"""
