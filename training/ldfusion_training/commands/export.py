"""``ldfusion export``: the frame graph as one ONNX file, or built by TensorRT ahead of time."""

import argparse
from pathlib import Path

from ldfusion_models.engines import PRECISIONS
from ldfusion_training.commands import Subparsers
from ldfusion_training.commands.simulate import parse_size

SIZE_OF_BUILD = (640, 480)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'export',
        help='write the frame graph as one ONNX file, or build it with TensorRT',
        description='Writes graph and weights as one ONNX file. With --engine tensorrt it builds that engine instead: '
        'for the GPU of this machine, or with --compute-capability and TensorRT for RTX for others, without one.',
    )
    parser.add_argument(
        '--output', type=Path, help='the .onnx file to write; folder for a built engine (where nodes look for it)'
    )
    parser.add_argument('--weights', type=Path, help='folder of weights, or exported file; default: of the package')
    parser.add_argument(
        '--size',
        type=parse_size,
        metavar='WxH',
        help='the only size of images that the file takes (any); that which TensorRT builds for '
        f'({SIZE_OF_BUILD[0]}x{SIZE_OF_BUILD[1]})',
    )
    parser.add_argument('--precision', choices=('auto', *PRECISIONS), default='auto')
    parser.add_argument('--engine', choices=('tensorrt',), help='the engine to build')
    parser.add_argument(
        '--compute-capability',
        nargs='+',
        default=[],
        metavar='X.Y',
        help='of the GPUs that the engine is for, such as 8.9, or all',
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export; a file is whole or absent."""
    _check(arguments)
    if arguments.engine:
        _build(arguments)
    else:
        from ldfusion_models.graph.export import export_onnx

        export_onnx(arguments.output, arguments.weights, arguments.size)
        print(f"{arguments.output}: give it to the node's parameter weights")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from ldfusion_models.camera.images import MINIMUM_SIZE
    from ldfusion_models.errors import InputError

    output = arguments.output
    if not arguments.engine and not output:
        raise InputError('give --output FILE.onnx, or --engine tensorrt')
    if arguments.size and min(arguments.size) < MINIMUM_SIZE:
        raise InputError(f'--size {"x".join(map(str, arguments.size))}: at least {MINIMUM_SIZE} pixels each way')
    if arguments.engine:
        if output and (output.suffix or output.is_file()):
            raise InputError(f'{output}: give a folder; a built engine has a name that says what it is for')
        return
    if output.suffix != '.onnx':
        raise InputError(f'{output}: the name of an exported graph ends in .onnx')
    if arguments.precision == 'mixed':
        raise InputError('--precision mixed is made by engines: the file is fp32')
    if arguments.compute_capability:
        raise InputError('--compute-capability is for built engines: add --engine tensorrt')


def _build(arguments: argparse.Namespace) -> None:
    from ldfusion_models.engines.base import EngineFailedError
    from ldfusion_models.engines.selection import build_ahead
    from ldfusion_models.errors import InputError

    size, capabilities = arguments.size or SIZE_OF_BUILD, tuple(arguments.compute_capability)
    try:
        path = build_ahead(arguments.weights, arguments.precision, size, capabilities, arguments.output, print)
    except EngineFailedError as error:
        raise InputError(f'engine tensorrt: {error}') from error
    if arguments.output:
        print(f'{path}: copy it to ~/.cache/ldfusion_ros/tensorrt of the robot')
    else:
        print(f'{path}: nodes of this machine find it there; on a robot it goes into the same folder')
