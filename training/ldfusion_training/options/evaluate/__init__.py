"""Options of ``ldfusion evaluate``."""
