"""Other tools' annotations, one file a format: what each holds, read into label maps or instances.

A format is a module that declares itself as ``FORMAT`` and has two functions: ``recognised(tree)``,
whether a folder holds it, and ``read(tree, classes)``, its samples. The catalogue finds them all.
"""
