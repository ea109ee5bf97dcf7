"""Probing against the plain margin: about the runs of `probing_confidence`."""
