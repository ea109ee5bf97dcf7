"""Margins from preference strength."""
