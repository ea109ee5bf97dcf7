"""A verifier that has played against provers, and the attack of a prover that it has not met."""
