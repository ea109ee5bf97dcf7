"""Does a bonus that is a difference of potentials leave the best policy alone, where others do not?"""
