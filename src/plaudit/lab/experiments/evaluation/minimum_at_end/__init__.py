"""Where step rewards put their lowest value, by the labels that they were trained on."""
