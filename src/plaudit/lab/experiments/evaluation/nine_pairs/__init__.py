"""The hardest of nine against all nine: about the runs of `one_against_nine`."""
