"""How many rows a back door takes."""
