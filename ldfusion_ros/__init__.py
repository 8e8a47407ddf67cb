"""The robot: nodes, message conversions and bag tools."""
