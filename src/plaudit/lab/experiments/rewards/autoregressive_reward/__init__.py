"""What is a beginning worth? A reward a token against one that is learned of whole texts."""
