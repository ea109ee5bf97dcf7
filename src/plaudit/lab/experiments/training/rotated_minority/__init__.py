"""A minority whose values are turned away from the majority's."""
