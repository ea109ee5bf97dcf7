"""Loss scaled by group where a minority wants other things."""
