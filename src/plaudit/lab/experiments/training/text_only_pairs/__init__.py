"""Pairs of one modality beside pairs of two, and the form of the head."""
