"""What walking biased trees both ways costs."""
