"""Programs that load and time the nodes; not installed on robots."""
