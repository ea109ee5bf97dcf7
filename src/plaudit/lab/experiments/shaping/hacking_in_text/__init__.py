"""Reward hacking in the assistant world: a policy trained against shaped and unshaped rewards."""
