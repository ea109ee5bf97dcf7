"""Token-level regularisation and fresh pairs: about the runs of `token_regularisation`."""
