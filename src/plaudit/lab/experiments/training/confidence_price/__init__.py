"""What rows about confidence cost in accuracy."""
