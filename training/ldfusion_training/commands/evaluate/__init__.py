"""``ldfusion evaluate``: measures as tables and pictures, one kind a sub-command."""

from ldfusion_training.commands.evaluate.images import add_parser

__all__ = ['add_parser']
