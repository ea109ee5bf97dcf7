"""Hard items as a forecast among strong rewards: about the runs of `hard_items`."""
