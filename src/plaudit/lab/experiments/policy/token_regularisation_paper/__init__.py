"""Token-level regularisation as strong as in the paper: about the runs of `token_regularisation`."""
