"""An attribute that asks the tokens against one that is an input."""
