"""What stands and moves in a scene."""
