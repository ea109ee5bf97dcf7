"""Does brevity that is asked for by difficulty keep what brevity for all costs?"""
