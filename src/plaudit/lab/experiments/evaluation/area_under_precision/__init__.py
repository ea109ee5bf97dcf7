"""Models that are chosen by average precision and by AUROC, and what groups get."""
