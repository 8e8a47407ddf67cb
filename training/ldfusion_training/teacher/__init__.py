"""A strong depth network for offline use, from which the light branches learn."""
