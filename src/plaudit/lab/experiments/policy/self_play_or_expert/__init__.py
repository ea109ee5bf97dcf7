"""Self-play against expert iteration: about the runs of `self_play`."""
