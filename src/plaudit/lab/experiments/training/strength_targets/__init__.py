"""Soft labels by strengths."""
