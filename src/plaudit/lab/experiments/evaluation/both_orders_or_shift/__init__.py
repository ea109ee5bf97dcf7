"""Both orders against a shift of one: about the runs of `both_orders`."""
