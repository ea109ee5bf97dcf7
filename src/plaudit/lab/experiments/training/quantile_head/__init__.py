"""A head of quantiles against a head of means, under label noise."""
