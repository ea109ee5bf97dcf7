"""The likelihood of a whole order against all of its pairs."""
