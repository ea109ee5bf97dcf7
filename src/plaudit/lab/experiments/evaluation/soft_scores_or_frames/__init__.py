"""Chances of a word against verdicts on every frame: about the runs of `soft_scores`."""
