"""A model that reads both completions at once, on the worlds of `training/objectives`."""
