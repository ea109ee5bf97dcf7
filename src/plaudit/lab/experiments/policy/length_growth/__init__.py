"""Do mean log-probabilities in place of sums keep a policy from learning length?"""
