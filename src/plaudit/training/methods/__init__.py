"""What `objective` can name: for each the data that it needs, the head that it trains, and its loss."""

from plaudit.training.methods.choosing import METHODS, Chosen, chosen
from plaudit.training.methods.method import Item, Labels, Loss, Method
from plaudit.training.methods.options import parsed

__all__ = ["METHODS", "Chosen", "Item", "Labels", "Loss", "Method", "chosen", "parsed"]
