"""What a user would say next, good and bad."""
