"""Noisy scores, smoothed over near completions that were preferred."""
