"""A claim about the runs of rewards/comparator_size."""
