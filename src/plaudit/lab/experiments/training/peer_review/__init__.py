"""Two networks that choose each other's pairs, against two that do not."""
