"""What others make of a fused image: how well a detector finds things in it."""
