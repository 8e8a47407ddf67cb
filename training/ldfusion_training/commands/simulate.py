"""``ldfusion simulate``: made RGB-thermal-depth scenes."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError
from ldfusion_models.files import write_image
from ldfusion_training.simulation.config import KINDS, LIGHTS, WEATHERS, SimulationConfig

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULT = SimulationConfig()


def add_parser(subparsers: 'Subparsers') -> None:
    """Add the command's options."""
    parser = subparsers.add_parser(
        'simulate',
        help='make RGB-thermal-depth scenes with exact depth and descriptions',
        description='Makes drives and walks of a visible and a thermal camera, and writes them with exact depth, '
        'instances, poses and descriptions. The same seed makes the same bytes. A rerun goes on where one stopped.',
    )
    result = parser.add_argument_group('what to make (one or more)')
    result.add_argument('--output', type=Path, help='folder for the scenes')
    result.add_argument('--preview', type=Path, metavar='PNG', help='a sheet with the first frame of each scene')
    result.add_argument('--benchmark', action='store_true', help='print frames per second and core as JSON')
    parser.add_argument('--bag', action='store_true', help='write each scene as a rosbag2 recording (MCAP)')
    parser.add_argument('--scenes', type=int, default=DEFAULT.scenes, help='number of scenes (%(default)s)')
    parser.add_argument('--frames', type=int, default=DEFAULT.frames, help='frames in each scene (%(default)s)')
    parser.add_argument('--seed', type=int, default=DEFAULT.seed, help='start of all random choices (%(default)s)')
    parser.add_argument('--rate', type=float, default=DEFAULT.rate_hz, metavar='HZ', help='frame rate (%(default)s)')
    parser.add_argument('--kinds', nargs='+', default=KINDS, metavar='KIND', help=f'of {", ".join(KINDS)}')
    parser.add_argument('--lights', nargs='+', default=LIGHTS, metavar='LIGHT', help=f'of {", ".join(LIGHTS)}')
    parser.add_argument('--weathers', nargs='+', default=WEATHERS, metavar='W', help=f'of {", ".join(WEATHERS)}')
    cameras = parser.add_argument_group('cameras')
    size = DEFAULT.width, DEFAULT.height
    cameras.add_argument('--size', type=parse_size, default=size, metavar='WxH', help='visible image (640x480)')
    cameras.add_argument(
        '--field-of-view', type=float, default=DEFAULT.field_of_view, metavar='DEG', help='horizontal (%(default)s)'
    )
    cameras.add_argument(
        '--baseline',
        type=float,
        default=DEFAULT.baseline_m,
        metavar='M',
        help='the thermal camera is so far to the right; 0 (default): both images are aligned',
    )
    cameras.add_argument('--thermal-size', type=parse_size, metavar='WxH', help='thermal image; needs a baseline')
    cameras.add_argument('--thermal-field-of-view', type=float, metavar='DEG', help='needs a baseline')
    cameras.add_argument(
        '--distortion', nargs=5, type=float, default=DEFAULT.distortion, metavar=('K1', 'K2', 'P1', 'P2', 'K3')
    )
    parser.set_defaults(run=run)


def parse_size(text: str) -> tuple[int, int]:
    """Parse ``640x480``."""
    width, _, height = text.lower().partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f'{text}: a size is written as 640x480')
    return int(width), int(height)


def run(arguments: argparse.Namespace) -> int:
    """Make what was asked for."""
    if not (arguments.output or arguments.preview or arguments.benchmark):
        raise InputError('nothing to make: give --output FOLDER, --preview PNG or --benchmark')
    config = config_from(arguments)
    if arguments.preview:
        from ldfusion_training.simulation.preview import preview

        write_image(arguments.preview, preview(config))
    if arguments.benchmark:
        from ldfusion_training.simulation.benchmark import benchmark

        print(json.dumps(benchmark(config), indent=2))
    if arguments.output:
        write_scenes(config, arguments.output, as_recordings=arguments.bag)
    return 0


def config_from(arguments: argparse.Namespace) -> SimulationConfig:
    """The run's settings.

    Raises:
        InputError: impossible ones.
    """
    thermal_width, thermal_height = arguments.thermal_size or (None, None)
    return SimulationConfig(
        seed=arguments.seed,
        scenes=arguments.scenes,
        frames=arguments.frames,
        width=arguments.size[0],
        height=arguments.size[1],
        field_of_view=arguments.field_of_view,
        rate_hz=arguments.rate,
        baseline_m=arguments.baseline,
        thermal_width=thermal_width,
        thermal_height=thermal_height,
        thermal_field_of_view=arguments.thermal_field_of_view,
        distortion=tuple(arguments.distortion),
        kinds=tuple(arguments.kinds),
        lights=tuple(arguments.lights),
        weathers=tuple(arguments.weathers),
    )


def write_scenes(config: SimulationConfig, output: Path, as_recordings: bool) -> None:
    """Write all scenes with a progress bar."""
    from tqdm import tqdm

    from ldfusion_training.simulation.dataset import write_dataset, write_recordings

    write = write_recordings if as_recordings else write_dataset
    with tqdm(total=config.scenes * config.frames, unit='frame', disable=None) as bar:
        for number, _ in enumerate(write(config, output, bar.update), start=1):
            # Scenes that an earlier run made report no frames.
            bar.update(number * config.frames - bar.n)
