"""Inference-time probing: whether its confidence says which decisions are right."""
