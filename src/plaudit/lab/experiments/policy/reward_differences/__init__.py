"""Is a regression on differences of scores worth more than the labels that they give?"""
