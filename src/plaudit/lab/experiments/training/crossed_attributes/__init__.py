"""Penalties of one attribute at a time, and of all together."""
