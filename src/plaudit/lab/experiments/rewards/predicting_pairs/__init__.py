"""Two answers to each question, to know what is not known."""
