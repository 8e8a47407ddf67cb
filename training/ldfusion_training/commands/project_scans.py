"""``ldfusion project-scans``: laser scans to depth images of the visible or the thermal camera."""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from ldfusion_models.errors import InputError, naming
from ldfusion_models.files import list_images, read_image, write_image, written_whole
from ldfusion_training.data.depth import depth_to_kitti
from ldfusion_training.data.lidar import SCAN_SUFFIXES, Mounting, project_scan, read_mounting, read_scan
from ldfusion_training.options.project_scans import ProjectScans

FOLDERS = {'visible': 'vi', 'thermal': 'ir'}


def run_project_scans(options: ProjectScans) -> int:
    """Convert every image."""
    mounting = read_mounting(options.calibration, options.camera)
    images = list_images(options.images)
    skipped = 0
    for image in images:
        try:
            _convert(image, options.scans, mounting, options.output, FOLDERS[options.camera])
        except InputError as error:
            if not options.skip:
                raise
            skipped += 1
            print(f'ldfusion: skipped: {error}', file=sys.stderr)
    if skipped == len(images):
        raise InputError(f'{options.images}: no image could be given depth')
    print(f'{len(images) - skipped} images with depth in {options.output}, {skipped} skipped')
    return 0


def _convert(image: Path, scans: Path, mounting: Mounting, output: Path, folder: str) -> None:
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
