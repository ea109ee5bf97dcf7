"""What a verifier can teach, by each online algorithm."""
