"""Is the average of a policy before and after alignment better than alignment that stops early?"""
