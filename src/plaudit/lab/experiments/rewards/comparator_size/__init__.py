"""Are larger comparators better rewards to optimise against?"""
