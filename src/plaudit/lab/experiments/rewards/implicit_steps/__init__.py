"""Rewards of steps by a policy that was told outcomes alone."""
