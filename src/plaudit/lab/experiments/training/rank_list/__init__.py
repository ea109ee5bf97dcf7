"""Lists of graded labels, near and far comparisons of their members."""
