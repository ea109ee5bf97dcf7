"""Objectives that read other rows, or have several heads, on the worlds of `training/objectives`."""
