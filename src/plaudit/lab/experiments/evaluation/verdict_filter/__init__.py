"""Verdicts on single answers beside pairs, as forecasts of what a judge is worth as a filter of training data."""
