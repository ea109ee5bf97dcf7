"""Step rewards from outcomes against those that the starting policy has anyway."""
