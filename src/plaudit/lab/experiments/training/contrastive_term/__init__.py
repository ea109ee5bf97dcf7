"""Two views of each completion's state that should be alike, and unlike those of the others."""
