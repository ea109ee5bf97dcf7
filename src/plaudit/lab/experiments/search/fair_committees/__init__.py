"""Subsets from biased rankings, with and without quotas."""
