"""Worlds: prompts, completions and a true reward that is known exactly."""
