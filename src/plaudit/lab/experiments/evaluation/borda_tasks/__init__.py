"""Rankings of systems over tasks of different scales."""
