"""What runs inside the box: sent there as source, so every module here needs the standard library only."""
