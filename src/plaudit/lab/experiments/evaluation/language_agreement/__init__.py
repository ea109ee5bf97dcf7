"""Which numbers of a multilingual benchmark foretell how rewards do in a language that it lacks."""
