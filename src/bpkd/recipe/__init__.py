"""What is asked for: the schema of a recipe, its files, and the components that it names."""
