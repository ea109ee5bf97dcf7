"""Does the density ratio of two policies rank answers better, the further apart their alignment is?"""
