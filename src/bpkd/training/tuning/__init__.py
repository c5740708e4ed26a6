"""A method's settings searched on val, every method with the same number of trials."""
