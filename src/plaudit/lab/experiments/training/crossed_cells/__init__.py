"""Penalties of crossed attributes where the model is shown the cell."""
