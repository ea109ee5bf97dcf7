"""The least member of an ensemble against one member, under label noise."""
