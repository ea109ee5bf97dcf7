"""Agreement with English decisions beside the gap to English, on the runs of `evaluation/language_agreement`."""
