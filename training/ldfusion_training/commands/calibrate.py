"""``ldfusion calibrate``: how thermal images are to be mapped into visible ones, from a recording or folders."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.camera.registration import Registration
from ldfusion_models.camera.registration_file import read_registration, write_registration
from ldfusion_models.errors import InputError, naming
from ldfusion_training.commands import Subparsers

if TYPE_CHECKING:
    from ldfusion_training.calibration.pairs import RigPairs

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
    topics = parser.add_argument_group('of a recording')
    topics.add_argument('--visible-topic', default='', metavar='T', help='of images, raw or compressed (found by name)')
    topics.add_argument('--thermal-topic', default='', metavar='T', help='of images, raw or compressed (found by name)')
    topics.add_argument(
        '--sync-tolerance', type=float, default=0.025, metavar='S', help='seconds that stamps of a pair may differ'
    )
    topics.add_argument(
        '--clock-offset', type=float, default=0.0, metavar='S', help='seconds added to the thermal stamps'
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate, print and write."""
    from ldfusion_training.calibration.estimate import calibrate

    if arguments.pairs < 2:
        raise InputError(f'--pairs {arguments.pairs}: at least 2 are needed')
    known = read_registration(arguments.registration) if arguments.registration else Registration()
    method = arguments.method or ('shift' if known.method == 'cameras' else 'homography')
    rig = _read(arguments)
    start = known.complete(rig.lenses.get('visible'), rig.lenses.get('thermal'), rig.thermal_T_visible)
    with naming(arguments.recording or arguments.visible):
        found = calibrate(rig.pairs, start, method, search=arguments.registration is None)
    # What the file left to camera_info and TF stays with them.
    written = replace(
        found.registration,
        visible=known.visible,
        thermal=known.thermal,
        thermal_T_visible=known.thermal_T_visible,
    )
    write_registration(arguments.output, written)
    print(
        f'{written.method} from {found.pairs} pairs: images were {found.before:.1f} pixels apart and are '
        f'{found.after:.1f} with {arguments.output} (median of {found.blocks} places)'
    )
    return 0


def _read(arguments: argparse.Namespace) -> 'RigPairs':
    from ldfusion_models.rig.settings import NodeSettings
    from ldfusion_training.bag_evaluation.settings import BagSettings, Topics
    from ldfusion_training.calibration.pairs import pairs_of_folders, pairs_of_recording

    if arguments.recording and not (arguments.visible or arguments.thermal):
        node = NodeSettings(sync_tolerance=arguments.sync_tolerance, clock_offset=arguments.clock_offset)
        topics = Topics(arguments.visible_topic, arguments.thermal_topic, 'none', 'none')
        return pairs_of_recording(arguments.recording, BagSettings(node, topics), arguments.pairs)
    if arguments.visible and arguments.thermal and not arguments.recording:
        return pairs_of_folders(arguments.visible, arguments.thermal, arguments.pairs)
    raise InputError('give a recording, or --visible and --thermal')
