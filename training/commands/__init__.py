"""The commands of ``ldfusion``, one module each.

A module has ``add_parser(subparsers)``, which sets ``run`` by ``set_defaults``, and ``run(arguments) -> int``, the exit
code. All are imported for ``ldfusion --help``, so heavy imports (torch, simulation) belong into functions.
"""

import argparse
import math
from typing import TypeAlias

Subparsers: TypeAlias = 'argparse._SubParsersAction[argparse.ArgumentParser]'


def positive_number(text: str) -> float:
    """A finite number above zero, for ``add_argument(type=...)``."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f'{text!r} is no number above 0')
    return number


def whole_number(text: str) -> int:
    """A whole number from 1, for ``add_argument(type=...)``."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from 1')
    return int(text)
