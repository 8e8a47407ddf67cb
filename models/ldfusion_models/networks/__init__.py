"""The networks, one a file, in PyTorch."""
