"""Probabilities as labels."""
