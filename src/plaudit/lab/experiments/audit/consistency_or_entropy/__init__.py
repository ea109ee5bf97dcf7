"""Consistency against entropy: about the runs of `several_answers`."""
