"""Outermost rewordings as further pairs, and whether a reward then asks what was asked."""
