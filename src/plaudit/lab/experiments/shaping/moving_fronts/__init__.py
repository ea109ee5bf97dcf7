"""Does paying for what moves the front lead to a better front than weights that stay?"""
