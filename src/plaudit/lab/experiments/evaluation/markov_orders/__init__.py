"""Which orders of policies rewards can express, with and without memory."""
