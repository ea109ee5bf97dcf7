"""Repeated right steps under process rewards that are summed, clipped, telescoped."""
