"""Borda counts against the likelihood of the order, when many lists are wrong."""
