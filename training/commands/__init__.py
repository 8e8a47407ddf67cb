"""The commands of ``ldfusion``, one module each.

A module has ``add_parser(subparsers)``, which sets ``run`` by ``set_defaults``, and ``run(arguments) -> int``, the exit
code. All are imported for ``ldfusion --help``, so heavy imports (torch, simulation) belong into functions.
"""

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = 'argparse._SubParsersAction[argparse.ArgumentParser]'
