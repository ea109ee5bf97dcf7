"""Multipliers, or stopping early with as many evaluations of the truth?"""
