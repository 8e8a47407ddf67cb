"""Results measured, side by side."""
