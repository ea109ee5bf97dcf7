"""A head of two layers with SiLU against a linear one, where the true reward bends."""
