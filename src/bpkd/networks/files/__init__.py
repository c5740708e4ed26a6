"""Networks that are files: exported ones, read and run without their code."""
