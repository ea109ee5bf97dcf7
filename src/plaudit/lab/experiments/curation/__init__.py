"""Experiments on how preference data is made."""
