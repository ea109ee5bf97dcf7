"""Trees that were fitted to biased labels, walked both ways."""
