"""The whole recipe against its first step alone."""
