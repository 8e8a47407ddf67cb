"""Data sets: documented folder layouts, read as aligned arrays."""
