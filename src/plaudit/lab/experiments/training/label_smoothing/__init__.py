"""Label smoothing against wrong labels."""
