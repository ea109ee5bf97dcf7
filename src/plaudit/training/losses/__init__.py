"""From a collated row to the objective that a method names: which labels it reads, and its options."""
