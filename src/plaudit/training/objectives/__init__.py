"""Objectives: pure functions of head outputs and labels."""
