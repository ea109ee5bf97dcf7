"""Annotators who turn labels round, weighed by reputation."""
