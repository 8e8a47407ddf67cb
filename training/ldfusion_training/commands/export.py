"""``ldfusion export``: the frame graph as one ONNX file, or built by TensorRT ahead of time."""

import argparse
from pathlib import Path

from ldfusion_models.engines import PRECISIONS
from ldfusion_training.commands import Subparsers
from ldfusion_training.commands.simulate import parse_size

SIZE_OF_BUILD = (640, 480)
FRAMES_COMPARED = 8


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'export',
        help='write the frame graph as one ONNX file, or build it with TensorRT',
        description='Writes graph and weights as one ONNX file. With --engine tensorrt it builds that engine into the '
        'cache folder, so that the robot need not: of the file written, or with --build-only without one.',
    )
    parser.add_argument('--output', type=Path, help='the .onnx file to write')
    parser.add_argument('--weights', type=Path, help='folder of weights, or exported file; default: of the package')
    parser.add_argument(
        '--size',
        type=parse_size,
        metavar='WxH',
        help='the only size of images that the file takes (any); that which TensorRT builds for '
        f'({SIZE_OF_BUILD[0]}x{SIZE_OF_BUILD[1]})',
    )
    parser.add_argument('--precision', choices=('auto', *PRECISIONS), default='auto')
    build = parser.add_argument_group('TensorRT')
    build.add_argument('--engine', choices=('tensorrt',), help='the engine to build')
    build.add_argument('--build-only', action='store_true', help='build, write no ONNX file')
    calibration = parser.add_argument_group('int8', 'convolutions of denoiser and fusion with 8 bits')
    calibration.add_argument(
        '--calibration', type=Path, metavar='BAG', help='recording of aligned images to calibrate on'
    )
    calibration.add_argument('--visible-topic', default='/visible/image_raw', metavar='T', help='(%(default)s)')
    calibration.add_argument('--thermal-topic', default='/thermal/image_raw', metavar='T', help='(%(default)s)')
    calibration.add_argument(
        '--frames', type=int, default=32, metavar='N', help='at most, of the recording (%(default)s)'
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export; a file is whole or absent."""
    from ldfusion_models.engines.selection import obstacle_to
    from ldfusion_models.errors import InputError

    _check(arguments)
    if arguments.engine and (obstacle := obstacle_to(arguments.engine, arguments.weights)):
        raise InputError(obstacle)
    weights = arguments.weights
    if arguments.output:
        _write(arguments)
        weights = arguments.output
    if arguments.engine:
        _build(weights, arguments.precision, arguments.size or SIZE_OF_BUILD)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    from ldfusion_models.camera.images import MINIMUM_SIZE
    from ldfusion_models.errors import InputError

    if arguments.build_only and (arguments.output or not arguments.engine):
        raise InputError('--build-only writes no file and needs --engine tensorrt')
    if not arguments.build_only and not arguments.output:
        raise InputError('give --output FILE.onnx, or --engine tensorrt --build-only')
    if arguments.output and arguments.output.suffix != '.onnx':
        raise InputError(f'{arguments.output}: the name of an exported graph ends in .onnx')
    if arguments.size and min(arguments.size) < MINIMUM_SIZE:
        raise InputError(f'--size {"x".join(map(str, arguments.size))}: at least {MINIMUM_SIZE} pixels each way')
    if arguments.frames < 1:
        raise InputError(f'--frames {arguments.frames}: at least 1')
    if arguments.calibration and (not arguments.output or arguments.precision not in ('auto', 'int8')):
        raise InputError(
            '--calibration makes a file with precision int8: give --output FILE.onnx and no other precision'
        )
    if arguments.output and arguments.precision == 'int8' and not arguments.calibration:
        raise InputError('--precision int8 is calibrated on a recording: add --calibration BAG')
    if arguments.output and arguments.precision == 'mixed' and not arguments.engine:
        raise InputError('--precision mixed is made by engines: the file is fp32, or int8 with --calibration BAG')


def _write(arguments: argparse.Namespace) -> None:
    from ldfusion_models.engines import create_engine
    from ldfusion_models.graph.export import export_onnx
    from ldfusion_models.rig.pipeline import Pipeline
    from ldfusion_training.benchmark.agreement import compare, in_words
    from ldfusion_training.benchmark.calibration_frames import CalibrationConfig, calibration_frames

    if not arguments.calibration:
        export_onnx(arguments.output, arguments.weights, arguments.size)
    else:
        config = CalibrationConfig(
            bag=arguments.calibration,
            visible_topic=arguments.visible_topic,
            thermal_topic=arguments.thermal_topic,
            frames=arguments.frames,
            size=arguments.size,
        )
        exact = create_engine('onnxruntime', arguments.weights)
        frames = calibration_frames(config, Pipeline(exact))
        export_onnx(arguments.output, arguments.weights, arguments.size, frames)
        some = frames[:: -(-len(frames) // FRAMES_COMPARED)]
        print(in_words(compare(create_engine('onnxruntime', arguments.output), exact, some)))
    print(f"{arguments.output}: give it to the node's parameter weights")


def _build(weights: Path | None, precision: str, size: tuple[int, int]) -> None:
    from ldfusion_models.engines.base import EngineFailedError
    from ldfusion_models.engines.selection import build_tensorrt
    from ldfusion_models.errors import InputError

    try:
        path = build_tensorrt(weights, precision, size, print)
    except EngineFailedError as error:
        raise InputError(f'TensorRT: {error}') from error
    print(f'{path}: engine tensorrt finds it there')
