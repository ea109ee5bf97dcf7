"""Experiments, in folders named like the rooms that they test."""
