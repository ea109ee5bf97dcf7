"""A policy on a nominal reward, and on the worst of a set beside it."""
