"""Rows that teach a reward when a stated confidence is deserved, after a reward that pays for any."""
