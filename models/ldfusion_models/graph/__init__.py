"""The way of a frame as one graph with its weights: traced, stored, checked, reduced in precision."""
