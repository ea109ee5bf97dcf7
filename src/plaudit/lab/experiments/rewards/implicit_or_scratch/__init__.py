"""An implicit reward against an explicit one that starts from random weights."""
