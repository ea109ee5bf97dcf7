"""A verifier cannot teach what a policy can only guess."""
