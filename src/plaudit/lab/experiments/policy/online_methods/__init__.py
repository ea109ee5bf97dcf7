"""Every online method at the same KL, against a verifier that is wrong in places."""
