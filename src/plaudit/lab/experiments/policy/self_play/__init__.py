"""Conjectures that the prover can just prove, against other ways to spend as many proofs."""
