"""Whether members of an ensemble should be brought to one scale before their mean is taken."""
