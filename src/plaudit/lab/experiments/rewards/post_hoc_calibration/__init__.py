"""Calibrators fitted to held-out pairs of a reward model that few pairs have made too sure."""
