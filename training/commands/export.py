"""``ldfusion export``: the frame graph as one ONNX file, or built by TensorRT ahead of time."""

import argparse
from pathlib import Path

from ldfusion_models.engines import PRECISIONS
from ldfusion_training.commands import Subparsers
from ldfusion_training.commands.simulate import parse_size


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'export',
        help='write the frame graph as one ONNX file, or build it with TensorRT',
        description='Writes graph and weights as one ONNX file for images of any size. With --engine tensorrt '
        "--build-only it builds TensorRT's engine for one size into the cache folder, so that the robot need not.",
    )
    parser.add_argument('--output', type=Path, help='the .onnx file to write')
    parser.add_argument('--weights', type=Path, help='folder of weights; default: those of the package')
    build = parser.add_argument_group('TensorRT')
    build.add_argument('--engine', choices=('tensorrt',), help='the engine to build')
    build.add_argument('--build-only', action='store_true', help='build, write no ONNX file')
    build.add_argument('--size', type=parse_size, default=(640, 480), metavar='WxH', help='of the images (640x480)')
    build.add_argument('--precision', choices=('auto', *PRECISIONS), default='auto')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export; a file is whole or absent."""
    from ldfusion_models.engines.base import EngineFailedError
    from ldfusion_models.engines.selection import build_tensorrt
    from ldfusion_models.errors import InputError
    from ldfusion_models.export import export_onnx

    if arguments.build_only != (arguments.engine == 'tensorrt') or arguments.build_only == bool(arguments.output):
        raise InputError('give either --output FILE.onnx, or --engine tensorrt --build-only')
    if arguments.build_only:
        try:
            path = build_tensorrt(arguments.weights, arguments.precision, arguments.size, print)
        except EngineFailedError as error:
            raise InputError(f'TensorRT: {error}') from error
        print(f'{path}: engine tensorrt finds it there')
        return 0
    if arguments.output.suffix != '.onnx':
        raise InputError(f'{arguments.output}: the name of an exported graph ends in .onnx')
    export_onnx(arguments.output, arguments.weights)
    print(f"{arguments.output}: give it to the node's parameter weights")
    return 0
