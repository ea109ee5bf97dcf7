"""Recovered rewards against log-probability as a ranking of programs: about the runs of `program_values`."""
