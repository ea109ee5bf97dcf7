"""Do denominators of the own length make wrong answers longer, where prompts share nothing?"""
