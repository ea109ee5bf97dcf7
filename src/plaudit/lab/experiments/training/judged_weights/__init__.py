"""Weights from how far repeated judgements differ."""
