"""Uncertainty from sampled answers where several answers are right."""
