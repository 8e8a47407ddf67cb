"""The commands of ``ldfusion``, one module each.

A module has ``add_parser(subparsers)``, which sets ``run`` by ``set_defaults``, and ``run(arguments) -> int``, the exit
code. All are imported for ``ldfusion --help``, so heavy imports (torch, simulation) belong into functions.
"""

import argparse
import math
from pathlib import Path
from typing import TypeAlias

from ldfusion_models.errors import InputError

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


def folders_in(folder: Path | None) -> list[Path]:
    """The folders in ``folder``, none for None; raises InputError if it holds none."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    if not found:
        raise InputError(f'{folder}: holds no folders of results')
    return found
