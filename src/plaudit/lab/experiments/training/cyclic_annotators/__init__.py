"""Annotators whose preferences run in circles on some kinds of request."""
