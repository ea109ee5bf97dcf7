"""Rankings of factors in place of weights."""
