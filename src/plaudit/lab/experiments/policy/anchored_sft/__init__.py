"""Do demonstrations teach more when tokens that are half believed count most, and the base is kept near?"""
