"""Every offline method at the same KL, from the same completions of the start."""
