"""``ldfusion models``: published models of others."""
