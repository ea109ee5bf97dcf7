"""Are token rewards fitted to outcomes better than plain group advantages?"""
