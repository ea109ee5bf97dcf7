"""Text of a model that was aligned with another reward, as a reward sees it."""
