"""Groups that only two attributes together make out."""
