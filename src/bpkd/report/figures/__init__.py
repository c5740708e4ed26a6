"""The paper's figures, of any runs: one module a figure."""
