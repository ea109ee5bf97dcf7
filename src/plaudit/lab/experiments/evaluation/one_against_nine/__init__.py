"""Which benchmark of rewards foretells best-of-n."""
