"""``ldfusion project-scans``: laser scans to depth images of the visible or the thermal camera."""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import list_images, read_image, write_image, written_whole
from ldfusion_training.commands import Subparsers

if TYPE_CHECKING:
    from ldfusion_training.data.lidar import Mounting

FOLDERS = {'visible': 'vi', 'thermal': 'ir'}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'project-scans',
        help='laser scans to depth images of a camera',
        description='Makes a data set to train depth on: OUTPUT/vi (or ir), OUTPUT/depth (16 bits, metres x 256) and '
        'OUTPUT/camera, from images and scans of one name (KAIST multispectral, own recordings). Images must be '
        'rectified.',
    )
    parser.add_argument('--images', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--scans', type=Path, required=True, metavar='FOLDER', help='.bin (KITTI) or .npy, by name')
    parser.add_argument(
        '--calibration',
        type=Path,
        required=True,
        metavar='FILE',
        help='YAML, see ldfusion_training/data/lidar.py',
    )
    parser.add_argument('--camera', choices=tuple(FOLDERS), required=True, help='which camera took the images')
    parser.add_argument('--output', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--skip', action='store_true', help='leave out faulty samples instead of stopping')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert every image."""
    from ldfusion_training.data.lidar import read_mounting

    mounting = read_mounting(arguments.calibration, arguments.camera)
    images = list_images(arguments.images)
    skipped = 0
    for image in images:
        try:
            _convert(image, arguments.scans, mounting, arguments.output, FOLDERS[arguments.camera])
        except InputError as error:
            if not arguments.skip:
                raise
            skipped += 1
            print(f'ldfusion: skipped: {error}', file=sys.stderr)
    if skipped == len(images):
        raise InputError(f'{arguments.images}: no image could be given depth')
    print(f'{len(images) - skipped} images with depth in {arguments.output}, {skipped} skipped')
    return 0


def _convert(image: Path, scans: Path, mounting: 'Mounting', output: Path, folder: str) -> None:
    from ldfusion_training.data.depth import depth_to_kitti
    from ldfusion_training.data.lidar import SCAN_SUFFIXES, project_scan, read_scan

    scan = next((path for suffix in SCAN_SUFFIXES if (path := scans / f'{image.stem}{suffix}').is_file()), None)
    if scan is None:
        raise InputError(f'{image}: no scan {image.stem}.bin or .npy in {scans}')
    height, width = read_image(image).shape[:2]
    camera = mounting.camera
    if (width, height) != (camera.width, camera.height):
        raise InputError(f'{image}: {width}x{height} pixels, the calibration is for {camera.width}x{camera.height}')
    with naming(scan):
        depth = project_scan(read_scan(scan), mounting)
    write_image(output / 'depth' / f'{image.stem}.png', depth_to_kitti(depth))
    with written_whole(output / 'camera' / f'{image.stem}.json') as temporary:
        temporary.write_text(json.dumps(asdict(camera)))
    with written_whole(output / folder / image.name) as temporary:
        shutil.copyfile(image, temporary)
