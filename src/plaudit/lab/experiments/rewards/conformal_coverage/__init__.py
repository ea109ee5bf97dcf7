"""Coverage of conformal preference sets where pairs are drawn alike, and where they are not."""
