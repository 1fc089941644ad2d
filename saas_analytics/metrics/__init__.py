"""Key figures, read from the marts."""
