"""A model of ties."""
