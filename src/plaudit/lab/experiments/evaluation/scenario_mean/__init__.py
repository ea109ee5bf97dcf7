"""A mean over scenarios beside a mean over pairs, as a forecast of a scenario that a benchmark lacks."""
