"""Internal rewards drawn together against agreement that only selects: about the runs of `internal_rewards`."""
