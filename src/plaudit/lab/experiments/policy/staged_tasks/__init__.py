"""Is reinforcement learning in stages, each with its own start as the reference, better than one stage?"""
