"""What people reuse as a label, with and without what they were shown."""
