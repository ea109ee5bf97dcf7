"""Do broken activation patterns tell kinds of request that a reward model has not seen?"""
