"""Options of ``ldfusion models``."""
