"""Two models that choose each other's data."""
