"""The law of over-optimisation on runs that it was not fitted to."""
