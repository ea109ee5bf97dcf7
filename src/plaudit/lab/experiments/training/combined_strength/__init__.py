"""Order and size of a preference together."""
