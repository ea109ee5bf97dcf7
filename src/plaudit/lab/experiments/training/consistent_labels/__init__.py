"""Labels as sure as two judges agree about a prompt."""
