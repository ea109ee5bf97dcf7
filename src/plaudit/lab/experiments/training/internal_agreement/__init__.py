"""Two rewards with different views that agree on pairs without labels."""
