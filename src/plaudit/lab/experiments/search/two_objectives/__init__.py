"""Two rewards a token, weighted while decoding, and texts that serve any weight of two objectives."""
