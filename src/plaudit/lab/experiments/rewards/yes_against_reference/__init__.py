"""Better than that one? against: how good is this one?"""
