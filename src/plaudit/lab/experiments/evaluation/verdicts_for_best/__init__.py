"""Verdicts beside pairs where each problem's best answer is kept, on the runs of `evaluation/verdict_filter`."""
