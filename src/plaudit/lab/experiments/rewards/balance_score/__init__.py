"""How well a score without bins measures miscalibration."""
