"""Answers and steps beside steps alone, where some write fluently, on the runs of `evaluation/lucky_answers`."""
