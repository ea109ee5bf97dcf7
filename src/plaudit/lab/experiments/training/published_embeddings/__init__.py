"""Preference embeddings with the published temperature and start, on the worlds of `training/objectives`."""
