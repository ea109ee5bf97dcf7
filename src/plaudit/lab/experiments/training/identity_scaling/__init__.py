"""Fair Identity Scaling on the runs of group scaling."""
