"""The whole set of samples against the best of them."""
