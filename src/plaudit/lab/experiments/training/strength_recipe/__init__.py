"""Ratings first, then strengths, then further the same way."""
