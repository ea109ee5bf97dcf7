"""Do reasoning patterns give back what a noisy verifier takes?"""
