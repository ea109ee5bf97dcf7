"""A rule on length instead of a regression, under a judge that likes length."""
