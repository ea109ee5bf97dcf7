"""Value-based learning against fine-tuning on what passes: about the runs of `program_values`."""
