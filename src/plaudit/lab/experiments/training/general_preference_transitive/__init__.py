"""General preference where preferences are transitive."""
