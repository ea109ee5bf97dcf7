"""How sure a policy says it is, under rewards that pay for confidence and under those that ask whether it is due."""
