"""Ensembles of reward models whose labels share a bias."""
