"""Whose completion is it? A discriminator of policies as a reward."""
