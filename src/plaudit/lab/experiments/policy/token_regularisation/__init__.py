"""Do token rewards from two contrary instructions add to what a policy learns from pairs?"""
