"""A head of two layers."""
