"""Credit along a path of evidence beside right final answers, on the runs of `evaluation/lucky_answers`."""
