"""Contrast instructions: whether they foretell what a reward is good for."""
