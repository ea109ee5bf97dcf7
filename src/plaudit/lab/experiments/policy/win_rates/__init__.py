"""Do win rates within groups keep a policy from what a score is wrong about, where scores hardly differ?"""
