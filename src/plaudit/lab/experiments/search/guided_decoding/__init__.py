"""Decoding guided by a reward a token and by a reward of whole texts."""
