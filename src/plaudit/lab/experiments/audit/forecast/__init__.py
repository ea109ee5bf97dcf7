"""Does the audit's grade, given before any optimisation, foretell what a reward will cost?"""
