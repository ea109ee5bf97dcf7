"""Every objective on the same worlds, backbone, ratings and budget."""
