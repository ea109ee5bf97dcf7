"""Experiments on what an audit finds, and on what it foretells."""
