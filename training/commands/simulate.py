"""ldfusion simulate: made RGB-thermal-depth scenes."""

import argparse
from pathlib import Path

from ldfusion_models.errors import InputError
from ldfusion_training.simulation.config import KINDS, LIGHTS, WEATHERS, SimulationConfig


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Add the command's options."""
    default = SimulationConfig()
    parser = subparsers.add_parser('simulate', help='make RGB-thermal-depth scenes with exact depth and text')
    parser.add_argument(
        '--output', type=Path, required=True, help='folder for the dataset; a rerun goes on where it stopped'
    )
    parser.add_argument('--scenes', type=int, default=default.scenes, help='number of scenes (default %(default)s)')
    parser.add_argument('--frames', type=int, default=default.frames, help='frames in each scene (default %(default)s)')
    parser.add_argument(
        '--seed', type=int, default=default.seed, help='start of all random choices (default %(default)s)'
    )
    parser.add_argument(
        '--size',
        type=size,
        default=(default.width, default.height),
        metavar='WxH',
        help='visible image (default 640x480)',
    )
    parser.add_argument(
        '--field-of-view',
        type=float,
        default=default.field_of_view,
        metavar='DEG',
        help='horizontal (default %(default)s)',
    )
    parser.add_argument(
        '--rate', type=float, default=default.rate_hz, metavar='HZ', help='frames per second (default %(default)s)'
    )
    parser.add_argument(
        '--baseline',
        type=float,
        default=0.0,
        metavar='M',
        help='distance between the cameras; 0 (default): aligned images',
    )
    parser.add_argument('--thermal-size', type=size, metavar='WxH', help='thermal image; needs a baseline')
    parser.add_argument('--thermal-field-of-view', type=float, metavar='DEG', help='needs a baseline')
    parser.add_argument('--kinds', nargs='+', default=KINDS, metavar='KIND', help=f'any of {", ".join(KINDS)}')
    parser.add_argument('--lights', nargs='+', default=LIGHTS, metavar='LIGHT', help=f'any of {", ".join(LIGHTS)}')
    parser.add_argument(
        '--weathers', nargs='+', default=WEATHERS, metavar='WEATHER', help=f'any of {", ".join(WEATHERS)}'
    )
    parser.set_defaults(run=run)


def size(text: str) -> tuple[int, int]:
    """Parse ``640x480``."""
    width, _, height = text.lower().partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f'{text}: a size is written as 640x480')
    return int(width), int(height)


def run(arguments: argparse.Namespace) -> int:
    """Write the dataset with a progress bar."""
    from tqdm import tqdm

    try:
        from ldfusion_training.simulation.dataset import write_dataset
    except ImportError as error:
        raise InputError(
            f'simulate needs the simulation extra ({error.name} is missing): pip install "ldfusion_ros[simulation]"'
        ) from error

    thermal_width, thermal_height = arguments.thermal_size or (None, None)
    config = SimulationConfig(
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
        kinds=tuple(arguments.kinds),
        lights=tuple(arguments.lights),
        weathers=tuple(arguments.weathers),
    )
    with tqdm(total=config.scenes * config.frames, unit='frame') as bar:
        for _ in write_dataset(config, arguments.output, lambda frame: bar.update() and None):
            pass
    return 0
