"""Centring scores."""
