"""Members of an ensemble on completions that the ensemble itself has picked."""
