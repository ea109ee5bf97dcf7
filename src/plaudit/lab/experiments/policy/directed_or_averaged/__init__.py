"""A policy that is told a direction against averages of two: about the runs of `directed_front`."""
