"""One against three instead of one pair: about the runs of `one_against_nine`."""
