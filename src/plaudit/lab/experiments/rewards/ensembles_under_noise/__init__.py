"""Ensembles of reward models under label noise."""
