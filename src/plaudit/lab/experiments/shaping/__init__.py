"""Experiments on what an optimiser should see."""
