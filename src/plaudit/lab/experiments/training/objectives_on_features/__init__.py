"""Every objective on lists of given features: another world than text."""
