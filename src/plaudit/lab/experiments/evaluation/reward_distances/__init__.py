"""Distances between rewards, and what following one costs in the other."""
