"""Steeper losses for larger margins."""
