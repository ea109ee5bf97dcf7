"""A cap on all rows that is dealt out alike: about the runs of `pooled_precision`."""
