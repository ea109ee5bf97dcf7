"""A nominal reward and the minimum over a set against the nominal reward alone."""
