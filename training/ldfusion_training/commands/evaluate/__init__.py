"""``ldfusion evaluate``: measures as tables and pictures, one kind a sub-command."""
