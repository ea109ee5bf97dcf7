"""An attribute that asks the tokens, for a minority whose values are turned away."""
