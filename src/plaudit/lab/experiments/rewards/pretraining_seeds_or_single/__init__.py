"""An ensemble that differs from pretraining on against one of its members."""
