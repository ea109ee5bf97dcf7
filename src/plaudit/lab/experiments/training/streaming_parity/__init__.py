"""Parity of outcomes learned from a stream, without keeping it."""
