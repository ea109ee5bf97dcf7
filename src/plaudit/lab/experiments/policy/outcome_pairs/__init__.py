"""Is copying right answers, and pushing wrong ones away, as good as clipped ratios at equal samples?"""
