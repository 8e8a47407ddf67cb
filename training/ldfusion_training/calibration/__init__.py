"""How two cameras lie to each other, estimated from their images."""
