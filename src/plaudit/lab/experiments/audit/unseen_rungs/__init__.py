"""Whether a reward that learned to pay for flattery pays for tampering that it never saw."""
