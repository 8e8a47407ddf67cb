"""Folders of images with depth, in the layouts that are known.

``sample``
    images ``vi/X.*`` or thermal ``ir/X.*``, depth ``depth/X.png`` (16 bits, metres x 256), cameras ``camera/X.json``
``plain``
    images ``visible/X.*`` or ``thermal/X.*``, depth ``depth/X.npy`` (metres) or ``depth/X.png`` (16 bits,
    millimetres), one ``camera.json`` or ``camera/X.json``
``kitti``
    images ``DATE/DRIVE/image_02/data/X.png``, depth ``train/DRIVE/proj_depth/groundtruth/image_02/X.png``
    (metres x 256), calibration ``DATE/calib_cam_to_cam.txt``: KITTI's raw data and depth sets in one folder
``simulation``
    what ``ldfusion simulate`` writes, see ``simulated.py``

A camera file holds width, height, fx, fy, cx, cy in pixels. In depth images 0 means unknown, in arrays NaN.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from ldfusion_models.camera.lens import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_training.data.depth import (
    KITTI_UNITS_PER_METRE,
    MILLIMETRES_PER_METRE,
    SAMPLE_FOLDERS,
    DepthSource,
    Modality,
    read_camera,
)
from ldfusion_training.data.pairs import Faults, images_by_name
from ldfusion_training.data.simulated import open_simulation

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DepthSet:
    """The samples of a data set, and one line for each that was skipped."""

    sources: tuple[DepthSource, ...]
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> DepthSource:
        return self.sources[index]


def open_depth(path: Path, modality: Modality = 'visible', faults: Faults = 'refuse') -> DepthSet:
    """Find the samples of the data set in ``path``; each is decoded and checked when it is read.

    Args:
        path: the data set's folder.
        modality: whose images and depth.
        faults: ``refuse`` raises where an image has no depth or no camera; ``skip`` leaves it out, logs and counts it.

    Raises:
        InputError: no known layout, missing folders, no sample left, or, with ``refuse``, any incomplete sample.
    """
    if not path.is_dir():
        raise InputError(f'{path}: no such folder')
    layout = _guess_layout(path)
    if layout == 'simulation':
        return DepthSet(tuple(frame.depth_source(modality) for frame in open_simulation(path)), ())
    if layout == 'kitti':
        sources, skipped = _kitti_sources(path, modality)
    else:
        sources, skipped = _folder_sources(path, layout, modality)
    if skipped and faults == 'refuse':
        raise InputError(f'{skipped[0]} ({len(skipped)} such samples)')
    if not sources:
        raise InputError(f'{path}: no {modality} image with depth ({len(skipped)} skipped)')
    if skipped:
        _log.warning('%s: %d samples skipped, %d left; first: %s', path, len(skipped), len(sources), skipped[0])
    return DepthSet(tuple(sources), tuple(skipped))


def _guess_layout(path: Path) -> str:
    if (path / 'dataset.yaml').is_file():
        return 'simulation'
    if (path / 'depth').is_dir():
        return 'sample' if any((path / folder).is_dir() for folder in SAMPLE_FOLDERS.values()) else 'plain'
    if any(path.glob('*/calib_cam_to_cam.txt')):
        return 'kitti'
    raise InputError(f'{path}: no known layout of images with depth; see ldfusion_training.data.depth')


def _folder_sources(path: Path, layout: str, modality: Modality) -> tuple[list[DepthSource], list[str]]:
    folder = path / (SAMPLE_FOLDERS[modality] if layout == 'sample' else modality)
    units = KITTI_UNITS_PER_METRE if layout == 'sample' else MILLIMETRES_PER_METRE
    depth_by_name = images_by_name(path / 'depth') | {file.stem: file for file in (path / 'depth').glob('*.npy')}
    shared = path / 'camera.json'
    camera = read_camera(shared) if shared.is_file() else None
    sources, skipped = [], []
    for name, image in images_by_name(folder).items():
        if name not in depth_by_name:
            skipped.append(f'{image}: no depth of that name in {path / "depth"}')
            continue
        try:
            own = camera or read_camera(path / 'camera' / f'{name}.json')
        except InputError as error:
            skipped.append(str(error))
            continue
        sources.append(DepthSource(name, modality, image, depth_by_name[name], own, units))
    return sources, skipped


def _kitti_sources(path: Path, modality: Modality) -> tuple[list[DepthSource], list[str]]:
    if modality != 'visible':
        raise InputError('the kitti layout holds visible images only')
    sources, skipped = [], []
    for depth in sorted(path.glob('train/*/proj_depth/groundtruth/image_02/*.png')):
        drive = depth.parents[3].name
        date = path / drive[:10]
        image = next((date / drive / 'image_02' / 'data').glob(f'{depth.stem}.*'), None)
        if image is None:
            skipped.append(f'{depth}: no image of that name in {date / drive / "image_02" / "data"}')
            continue
        camera = _kitti_camera(date / 'calib_cam_to_cam.txt')
        sources.append(DepthSource(f'{drive}/{depth.stem}', modality, image, depth, camera, KITTI_UNITS_PER_METRE))
    return sources, skipped


def _kitti_camera(path: Path) -> Intrinsics:
    try:
        lines = dict(line.split(':', 1) for line in path.read_text().splitlines() if ':' in line)
        projection = [float(value) for value in lines['P_rect_02'].split()]
        width, height = (round(float(value)) for value in lines['S_rect_02'].split())
        return Intrinsics(width, height, projection[0], projection[5], projection[2], projection[6])
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f'{path}: needs the lines S_rect_02 and P_rect_02 of a KITTI calibration') from error
