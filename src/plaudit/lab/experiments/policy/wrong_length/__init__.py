"""Do denominators that count a completion's tokens make wrong answers longer?"""
