"""Borda counts against scaled means: about the runs of `borda_tasks`."""
