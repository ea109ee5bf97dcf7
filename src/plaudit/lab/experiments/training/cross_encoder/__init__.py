"""A pairwise cross-encoder against preference embeddings."""
