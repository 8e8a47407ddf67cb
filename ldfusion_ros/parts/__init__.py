"""The parts of the nodes."""
