"""Does credit at the branches of a group speed up plain gradient descent?"""
