"""Experiments on how good a reward is found to be, and whether that foretells what it is good for."""
