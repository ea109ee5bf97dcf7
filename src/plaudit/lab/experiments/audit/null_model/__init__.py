"""A constant answer that was searched on some prompts, tested on others."""
