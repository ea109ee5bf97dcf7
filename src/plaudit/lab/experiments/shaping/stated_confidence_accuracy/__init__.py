"""What it costs to be paid for deserved confidence."""
