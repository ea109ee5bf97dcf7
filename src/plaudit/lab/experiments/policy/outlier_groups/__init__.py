"""Does a filter of outlying advantages help, where those of each group are scaled already?"""
