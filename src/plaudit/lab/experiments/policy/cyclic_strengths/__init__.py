"""Are policies that learn from comparisons harder to exploit than those that maximise a score fitted to them?"""
