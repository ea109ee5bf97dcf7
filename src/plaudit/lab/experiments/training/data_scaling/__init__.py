"""Does more preference data give a better reward model?"""
