"""Actions of `plaudit data` that make rows: of ratings, of events, of feedback, and with a stated confidence."""
