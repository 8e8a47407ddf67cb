"""``ldfusion export``: the frame graph as one ONNX file for robots without PyTorch."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser('export', help='write the frame graph as one ONNX file')
    parser.add_argument('--output', type=Path, required=True, help='the .onnx file to write')
    parser.add_argument('--weights', type=Path, help='folder of weights; default: those of the package')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export; the file is whole or absent."""
    from ldfusion_models.errors import InputError
    from ldfusion_models.export import export_onnx

    if arguments.output.suffix != '.onnx':
        raise InputError(f'{arguments.output}: the name of an exported graph ends in .onnx')
    export_onnx(arguments.output, arguments.weights)
    print(f'{arguments.output}: give it to the node as weights, or to ldfusion fuse as --weights')
    return 0
