"""Does a filter of outlying advantages help, where a few rewards are far off?"""
