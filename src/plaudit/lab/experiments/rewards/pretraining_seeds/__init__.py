"""Ensembles of reward models that differ from pretraining on, or in fine-tuning only."""
