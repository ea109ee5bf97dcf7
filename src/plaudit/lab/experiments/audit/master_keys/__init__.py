"""Answers without an answer, and pairs that teach a reward to reject them."""
