"""Provers that attack the verifier against provers that attack random ones: about the runs of `prover_verifier`."""
