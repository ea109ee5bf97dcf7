"""Do easy demands first help with hard ones that are almost never met?"""
