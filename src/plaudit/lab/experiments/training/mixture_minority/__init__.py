"""A claim about the runs of training/rotated_minority."""
