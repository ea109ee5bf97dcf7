"""Whether the covariance of two ratings ranks errors beyond the margin."""
