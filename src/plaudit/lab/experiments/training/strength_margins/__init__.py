"""Strengths of preferences, as ten rewards see them, as margins and as soft labels."""
