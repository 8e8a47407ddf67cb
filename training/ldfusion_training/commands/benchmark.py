"""``ldfusion benchmark``: latency, throughput, memory and the roofline of an engine on this machine."""

import argparse
from pathlib import Path

from ldfusion_models.engines import ENGINES, PRECISIONS
from ldfusion_training.commands import Subparsers
from ldfusion_training.commands.simulate import parse_size


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'benchmark',
        help='time an engine on this machine',
        description='Prints operations, parameters, load time, latency, throughput, memory, time by stage, and how far '
        'from what the machine can do that is. Let nothing else run meanwhile.',
    )
    parser.add_argument('--engine', choices=('auto', *ENGINES), default='auto')
    parser.add_argument('--weights', type=Path, help='folder of weights or exported graph; default: of the package')
    parser.add_argument('--precision', choices=('auto', *PRECISIONS), default='auto')
    parser.add_argument('--threads', type=int, default=0, help='of the processor; 0 lets the engine choose')
    parser.add_argument('--size', type=parse_size, default=(640, 480), metavar='WxH', help='of the images (640x480)')
    parser.add_argument('--runs', type=int, default=100, help='frames that are timed (%(default)s)')
    parser.add_argument('--peers', action='store_true', help='also time DenseFuse, SeAFusion and IFCNN (needs PyTorch)')
    parser.add_argument('--layers', type=int, default=0, metavar='N', help='list the N slowest layers in ONNX Runtime')
    parser.add_argument(
        '--pairs',
        type=Path,
        nargs=2,
        metavar=('VISIBLE', 'THERMAL'),
        help="folders of images on which results are compared with ONNX Runtime's",
    )
    parser.add_argument('--gpu', action='store_true', help='instead: all that is to be known of an NVIDIA GPU')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the result as JSON too')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    from ldfusion_models.camera.images import MINIMUM_SIZE
    from ldfusion_models.errors import InputError
    from ldfusion_training.benchmark.latency import BenchmarkConfig, run_benchmark, summary
    from ldfusion_training.report.tables import write_json

    if arguments.runs < 1:
        raise InputError(f'--runs {arguments.runs}: at least 1')
    if arguments.gpu:
        return _run_on_gpu(arguments)
    width, height = arguments.size
    if min(width, height) < MINIMUM_SIZE:
        raise InputError(f'--size {width}x{height}: at least {MINIMUM_SIZE} pixels each way')
    if arguments.layers < 0:
        raise InputError(f'--layers {arguments.layers}: at least 0')
    if arguments.threads < 0:
        raise InputError(f'--threads {arguments.threads}: at least 0')
    config = BenchmarkConfig(
        engine=arguments.engine,
        weights=arguments.weights,
        threads=arguments.threads,
        precision=arguments.precision,
        width=width,
        height=height,
        runs=arguments.runs,
        peers=arguments.peers,
        layers=arguments.layers,
        pairs=tuple(arguments.pairs) if arguments.pairs else None,
    )
    result = run_benchmark(config)
    if arguments.json:
        write_json(arguments.json, result)
    print(summary(result))
    return 0


def _run_on_gpu(arguments: argparse.Namespace) -> int:
    from ldfusion_training.benchmark.gpu import GpuConfig, benchmark_gpu, summary
    from ldfusion_training.report.tables import write_json

    result = benchmark_gpu(GpuConfig(runs=arguments.runs))
    if arguments.json:
        write_json(arguments.json, result)
    print(summary(result))
    return 0
