"""A claim about the runs of search/two_objectives."""
