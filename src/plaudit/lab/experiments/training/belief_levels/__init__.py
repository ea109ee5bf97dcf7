"""Beliefs in levels, with confusion and ignorance apart."""
