"""Which diagnostic of a step reward foretells a search that it guides."""
