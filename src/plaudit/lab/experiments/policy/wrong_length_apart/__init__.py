"""Do denominators that count a completion's tokens make wrong answers longer, where nothing is shared between prompts?"""
