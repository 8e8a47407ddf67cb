"""``ldfusion calibrate``: how thermal images are to be mapped into visible ones, from a recording or folders."""

import argparse
from pathlib import Path

from ldfusion_models.errors import InputError, naming
from ldfusion_models.registration import Registration
from ldfusion_models.registration_file import read_registration, write_registration
from ldfusion_training.commands import Subparsers

METHODS = ('homography', 'shift')


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'calibrate',
        help='estimate how thermal is mapped into visible',
        description='Estimates from many pairs of images, by their common edges, how the thermal image is to be mapped '
        'into the visible one, prints by how many pixels the images were apart and are then, and writes the file that '
        'fusion_node (registration_file) and ldfusion fuse (--registration) read.',
    )
    parser.add_argument('recording', type=Path, nargs='?', metavar='BAG', help='rosbag2 recording')
    parser.add_argument('--visible', type=Path, help='folder of images instead of a recording')
    parser.add_argument('--thermal', type=Path, help='folder of images of the same names, 8 or 16 bits')
    parser.add_argument('--output', type=Path, required=True, metavar='YAML', help='file to write')
    parser.add_argument(
        '--registration',
        type=Path,
        metavar='YAML',
        help='what is known already: a homography to refine, or cameras whose residual shift is estimated',
    )
    parser.add_argument(
        '--method',
        choices=METHODS,
        help='homography (default), or only a shift on top of --registration (default where that is by cameras)',
    )
    parser.add_argument('--pairs', type=int, default=60, metavar='N', help='pairs to use at most (%(default)s)')
    parser.add_argument('--visible-topic', default='/visible/image_raw', metavar='T', help='raw or compressed')
    parser.add_argument('--thermal-topic', default='/thermal/image_raw', metavar='T', help='raw or compressed')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate, print and write."""
    from ldfusion_training.rig_calibration import calibrate
    from ldfusion_training.rig_pairs import PairsConfig, pairs_of_folders, pairs_of_recording

    if arguments.pairs < 2:
        raise InputError(f'--pairs {arguments.pairs}: at least 2 are needed')
    config = PairsConfig(arguments.pairs, arguments.visible_topic, arguments.thermal_topic)
    start = read_registration(arguments.registration) if arguments.registration else Registration()
    method = arguments.method or ('shift' if start.method == 'cameras' else 'homography')
    if arguments.recording and not (arguments.visible or arguments.thermal):
        pairs = pairs_of_recording(arguments.recording, config)
    elif arguments.visible and arguments.thermal and not arguments.recording:
        pairs = pairs_of_folders(arguments.visible, arguments.thermal, config)
    else:
        raise InputError('give a recording, or --visible and --thermal')
    with naming(arguments.recording or arguments.visible):
        found = calibrate(pairs, start, method, search=arguments.registration is None)
    write_registration(arguments.output, found.registration)
    print(
        f'{found.registration.method} from {found.pairs} pairs: images were {found.before:.1f} pixels apart and are '
        f'{found.after:.1f} with {arguments.output} (median of {found.blocks} places)'
    )
    return 0
