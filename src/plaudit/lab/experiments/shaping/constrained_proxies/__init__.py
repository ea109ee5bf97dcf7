"""Several correlated proxies, held where they still are proxies."""
