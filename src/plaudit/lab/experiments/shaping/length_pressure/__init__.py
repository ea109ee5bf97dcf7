"""Does brevity for mastered groups only keep the accuracy that a length penalty costs?"""
