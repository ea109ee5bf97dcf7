"""Average precision of all classes in one ranking, and calibration of each class."""
