"""Whether a reward that says how sure it is knows where it errs."""
