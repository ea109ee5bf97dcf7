"""Fused rewards of contrasting prompts."""
