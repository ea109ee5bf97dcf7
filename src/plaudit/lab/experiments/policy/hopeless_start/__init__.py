"""A verifier cannot teach what a policy never does."""
