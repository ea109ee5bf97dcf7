"""Experiments on where rewards come from."""
