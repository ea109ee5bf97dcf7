"""What rewards that learn from rated levels say of how sure they are."""
