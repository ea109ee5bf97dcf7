"""Experiments on how a policy is improved."""
