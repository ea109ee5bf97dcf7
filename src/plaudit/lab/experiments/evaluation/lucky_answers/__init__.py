"""Scores of answers, of steps and of both, where some responders guess well."""
