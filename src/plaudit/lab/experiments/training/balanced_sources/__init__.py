"""Sources that agree on something and disagree on the rest."""
