"""Parity at equal merit and parity at large."""
