"""Does best-of-n over-optimise a reward model that was trained on noisy labels?"""
