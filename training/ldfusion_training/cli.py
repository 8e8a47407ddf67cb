"""The ``ldfusion`` command: one sub-command per module of :mod:`ldfusion_training.commands`."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ldfusion_models import __version__
from ldfusion_models.errors import InputError

# Modules of ldfusion_training.commands, in the order in which --help lists them.
COMMANDS = (
    'fuse',
    'depth',
    'caption',
    'demo',
    'simulate',
    'make_bag',
    'calibrate',
    'train',
    'release',
    'export',
    'benchmark',
    'evaluate',
    'reproduce',
    'project_scans',
)
OWN_PACKAGES = ('ldfusion_models', 'ldfusion_training', 'ldfusion_ros')
BAD_INPUT, INTERRUPTED = 2, 130


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(BAD_INPUT, f'{self.prog}: {message}; see {self.prog} --help\n')


def create_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = OneLineParser(prog='ldfusion', description='Thermal and visible images to one image and depth.')
    parser.add_argument('--version', action='version', version=f'ldfusion {__version__}')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error (anywhere on the line)')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    for name in COMMANDS:
        import_module(f'ldfusion_training.commands.{name}').add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 only if all that was asked for was written; 2 for bad input, with one line on stderr; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = '--debug' in words
    arguments = create_parser().parse_args([word for word in words if word != '--debug'])
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (InputError, OSError, ModuleNotFoundError) as error:
        if debug:
            traceback.print_exc()
        print(f'ldfusion: {explain(error)}', file=sys.stderr)
        return BAD_INPUT


def explain(error: Exception) -> str:
    """One line that says what is wrong; for a package that is not installed also how to get it."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or '').partition('.')[0]
        if package and package not in OWN_PACKAGES:
            return f"this command needs the Python package {package}; pip install 'ldfusion_ros[training]'"
    return ' '.join(str(error).split())
