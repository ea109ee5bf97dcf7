"""Does the mean probability of the reference answer tell right reasoning from wrong better than the product?"""
