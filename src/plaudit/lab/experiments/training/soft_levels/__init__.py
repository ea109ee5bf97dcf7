"""Raters of one mind and of several: distributions over levels as targets."""
