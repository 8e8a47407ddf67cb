"""Training runs: the loop, what they start from, and the chain of all of them."""
