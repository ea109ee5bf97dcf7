"""Do pairs of like length keep a score that grows with length from teaching length?"""
