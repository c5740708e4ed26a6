"""From a folder of annotated images to recipes that fit it and this machine."""
