"""``ldfusion make-bag``: folders of image pairs to a rosbag2 recording."""

import argparse
import re
from pathlib import Path

from tqdm import tqdm

from ldfusion_models.files import match_pairs
from ldfusion_training.commands import Subparsers, positive_number
from ldfusion_training.recordings.pair_recording import RecordingConfig, record_pairs


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    defaults = RecordingConfig()
    parser = subparsers.add_parser(
        'make-bag',
        help='make a recording from folders of pairs',
        description='Writes a rosbag2 recording (MCAP) with images, camera_info and static transforms, in the topics '
        'that fusion_node listens to. Pairs have the same file name and are taken as aligned.',
    )
    parser.add_argument('recording', type=Path, metavar='OUT', help='folder of the new recording')
    parser.add_argument('--visible', type=Path, required=True, help='folder')
    parser.add_argument('--thermal', type=Path, required=True, help='folder; 8 or 16 bits')
    parser.add_argument('--rate', type=positive_number, default=defaults.rate_hz, metavar='HZ', help='pairs per second')
    parser.add_argument(
        '--fov',
        type=positive_number,
        default=defaults.field_of_view,
        metavar='DEG',
        help='horizontal field of view of both cameras (default %(default)g)',
    )
    parser.add_argument(
        '--size',
        type=_size,
        metavar='WxH',
        help='scale all images to cover this size and cut what is over; needed if sizes differ',
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record every pair."""
    pairs = match_pairs(arguments.visible, arguments.thermal)
    config = RecordingConfig(arguments.rate, arguments.fov, arguments.size)
    record_pairs(tqdm(pairs, unit='pair', disable=None), arguments.recording, config)
    print(f'{len(pairs)} pairs in {arguments.recording}')
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no size such as 640x480')
    return int(match[1]), int(match[2])
