"""A variance of its own for each completion."""
