"""Are steps towards the Nash equilibrium of preferences harder to exploit than the maximum of a fitted score?"""
