"""Does a benchmark of the items that weak rewards get wrong order rewards more as best-of-n does?"""
