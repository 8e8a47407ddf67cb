"""``ldfusion release``: a checkpoint's averaged weights into a folder of weights that nodes and commands load."""

import argparse
from pathlib import Path
from typing import Any

from ldfusion_models.errors import InputError
from ldfusion_models.graph.manifest import LANGUAGE_PARTS, PARTS, SHIPPED

FACTS = ('data', 'recipe', 'metrics', 'licence')


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser('release', help='put trained weights where nodes and commands load them')
    parser.add_argument('--checkpoint', type=Path, required=True, help='checkpoint.pt of a training stage')
    parser.add_argument(
        '--part', choices=(*PARTS, *LANGUAGE_PARTS), required=True, help='network whose weights it holds'
    )
    parser.add_argument('--output', type=Path, default=SHIPPED, help="folder of weights; default: the package's own")
    parser.add_argument(
        '--fact', action='append', default=[], metavar='NAME=TEXT', help=f'for the manifest: {", ".join(FACTS)}'
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Release one part; the manifest is written last."""
    from ldfusion_training.stages.release import release

    facts = {}
    for fact in arguments.fact:
        name, equals, text = fact.partition('=')
        if not equals or name not in FACTS:
            raise InputError(f'--fact {fact}: write NAME=TEXT, NAME one of {", ".join(FACTS)}')
        facts[name] = text
    release(arguments.checkpoint, arguments.part, arguments.output, facts)
    print(f'{arguments.output}: {arguments.part} released')
    return 0
