"""Learning from a verifier and imitating right answers."""
