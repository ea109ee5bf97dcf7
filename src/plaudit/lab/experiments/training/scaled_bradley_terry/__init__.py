"""Preference strength as a weight."""
