"""The variance penalty of an ensemble against the same penalties dealt anew."""
