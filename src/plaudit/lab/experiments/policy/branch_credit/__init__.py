"""Does credit at the branches of a group speed up learning, where early tokens decide?"""
