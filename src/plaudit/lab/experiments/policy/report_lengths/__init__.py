"""Reports that a judge of findings makes longer, and what keeps them short."""
