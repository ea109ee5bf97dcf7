"""A distribution over levels against regression."""
