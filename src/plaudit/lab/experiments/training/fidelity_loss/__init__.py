"""Fidelity between completions beside the distribution."""
