"""The weakest preferences, turned round, left out or left alone."""
