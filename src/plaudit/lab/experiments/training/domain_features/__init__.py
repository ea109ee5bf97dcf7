"""A reward of named features and one of a raw embedding."""
