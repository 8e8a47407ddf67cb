"""Images with measured or simulated depth and the camera that took them.

``sample``
    images ``vi/X.*`` or thermal ``ir/X.*``, depth ``depth/X.png`` (16 bits, metres x 256), cameras ``camera/X.json``
``plain``
    images ``visible/X.*`` or ``thermal/X.*``, depth ``depth/X.npy`` (metres) or ``depth/X.png`` (16 bits,
    millimetres), one ``camera.json`` or ``camera/X.json``
``kitti``
    images ``DATE/DRIVE/image_02/data/X.png``, depth ``SPLIT/DRIVE/proj_depth/groundtruth/image_02/X.png``
    (metres x 256), calibration ``DATE/calib_cam_to_cam.txt``: KITTI's raw data and depth sets in one folder
``simulation``
    what ``ldfusion simulate`` writes, see ``simulated.py``

A camera file holds width, height, fx, fy, cx, cy in pixels. In depth images 0 means unknown, in arrays NaN.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera import Intrinsics
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_models.pipeline import as_rgb8
from ldfusion_training.data.pairs import Faults, Image8, as_thermal8, images_by_name

Modality = Literal['visible', 'thermal']
Depth = npt.NDArray[np.float32]

LAYOUTS = ('auto', 'sample', 'plain', 'kitti', 'simulation')
SAMPLE_FOLDERS: dict[Modality, str] = {'visible': 'vi', 'thermal': 'ir'}
KITTI_UNITS_PER_METRE = 256.0
MILLIMETRES_PER_METRE = 1000.0
# Outside of this, the median of a depth map is a wrong unit, not a scene that a robot meets.
PLAUSIBLE_MEDIAN = (0.1, 500.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DepthSample:
    """One image with depth.

    Attributes:
        image: visible (H, W, 3) RGB uint8, or thermal (H, W) uint8.
        depth: (H, W) float32, metres along the optical axis; NaN = unknown.
        camera: intrinsics at this size.
    """

    image: Image8
    depth: Depth
    camera: Intrinsics


@dataclass(frozen=True)
class DepthSource:
    """The files of one sample; ``name`` is unique within its data set."""

    name: str
    modality: Modality
    image: Path
    depth: Path
    camera: Intrinsics
    units_per_metre: float

    def read(self) -> DepthSample:
        """Decode image and depth.

        Raises:
            InputError: unreadable, or image, depth and camera of different sizes, or depth that ``read_depth`` refuses.
        """
        stored = read_image(self.image)
        image = as_rgb8(stored) if self.modality == 'visible' else as_thermal8(stored)
        depth = read_depth(self.depth, self.units_per_metre)
        size = (image.shape[1], image.shape[0])
        if depth.shape != image.shape[:2]:
            raise InputError(
                f'{self.depth}: {depth.shape[1]}x{depth.shape[0]} pixels, but {self.image} has {size[0]}x{size[1]}'
            )
        if size != (self.camera.width, self.camera.height):
            raise InputError(
                f'{self.image}: {size[0]}x{size[1]} pixels, but its camera is calibrated for '
                f'{self.camera.width}x{self.camera.height}'
            )
        return DepthSample(image, depth, self.camera)


@dataclass(frozen=True)
class DepthSet:
    """The samples of a data set, and one line for each that was skipped."""

    sources: tuple[DepthSource, ...]
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> DepthSource:
        return self.sources[index]


def open_depth(
    path: Path, layout: str = 'auto', modality: Modality = 'visible', split: str = 'train', faults: Faults = 'refuse'
) -> DepthSet:
    """Find the samples of the data set in ``path``; each is decoded and checked when it is read.

    Args:
        path: the data set's folder.
        layout: one of ``LAYOUTS`` (above); ``auto`` takes the one whose folders are there.
        modality: whose images and depth.
        split: ``train`` or ``val`` of the ``kitti`` layout.
        faults: ``refuse`` raises where an image has no depth or no camera; ``skip`` leaves it out, logs and counts it.

    Raises:
        InputError: unknown layout, missing folders, no sample left, or, with ``refuse``, any incomplete sample.
    """
    if not path.is_dir():
        raise InputError(f'{path}: no such folder')
    chosen = _guess_layout(path) if layout == 'auto' else layout
    if chosen == 'simulation':
        from ldfusion_training.data.simulated import open_simulation

        return DepthSet(tuple(frame.depth_source(modality) for frame in open_simulation(path)), ())
    if chosen == 'kitti':
        sources, skipped = _kitti_sources(path, split, modality)
    elif chosen in ('sample', 'plain'):
        sources, skipped = _folder_sources(path, chosen, modality)
    else:
        raise InputError(f'layout {layout!r} is unknown; choose one of {", ".join(LAYOUTS)}')
    if skipped and faults == 'refuse':
        raise InputError(f'{skipped[0]} ({len(skipped)} such samples)')
    if not sources:
        raise InputError(f'{path}: no {modality} image with depth ({len(skipped)} skipped)')
    if skipped:
        _log.warning('%s: %d samples skipped, %d left; first: %s', path, len(skipped), len(sources), skipped[0])
    return DepthSet(tuple(sources), tuple(skipped))


def read_depth(path: Path, units_per_metre: float) -> Depth:
    """Read depth (H, W) in metres, NaN where unknown, from a 16-bit image or an ``.npy`` file (always metres).

    Raises:
        InputError: unreadable, not one channel, not 16 bits, not floats, nothing known, or an implausible scale.
    """
    depth = _read_depth_array(path) if path.suffix == '.npy' else _read_depth_image(path, units_per_metre)
    known = depth[np.isfinite(depth)]
    if known.size == 0:
        raise InputError(f'{path}: holds no known depth')
    median = float(np.median(known))
    if not PLAUSIBLE_MEDIAN[0] <= median <= PLAUSIBLE_MEDIAN[1]:
        raise InputError(f'{path}: median depth of {median:g} m; is the file in another unit or scale?')
    return depth


def depth_to_kitti(depth: Depth) -> npt.NDArray[np.uint16]:
    """Depth (H, W) in metres to KITTI's 16 bits, metres x 256; unknown, or 256 m and beyond, becomes 0."""
    stored = np.round(np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0) * KITTI_UNITS_PER_METRE)
    return np.where((stored > 0) & (stored <= 65535), stored, 0).astype(np.uint16)


def read_camera(path: Path) -> Intrinsics:
    """Read a camera file (JSON).

    Raises:
        InputError: missing, not JSON, or without the six values.
    """
    return camera_from(read_json(path), path)


def camera_from(values: Any, path: Path) -> Intrinsics:
    """The camera in a mapping that was read from ``path`` (named in errors).

    Raises:
        InputError: a value is missing or not a number.
    """
    try:
        size = int(values['width']), int(values['height'])
        return Intrinsics(*size, *(float(values[name]) for name in ('fx', 'fy', 'cx', 'cy')))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}: needs numbers width, height, fx, fy, cx, cy of the camera ({error})') from error


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: missing, or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: not readable JSON ({error})') from error


def _read_depth_image(path: Path, units_per_metre: float) -> Depth:
    stored = read_image(path)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise InputError(f'{path}: {stored.dtype} of shape {stored.shape}; depth images are grey with 16 bits')
    depth: Depth = stored.astype(np.float32) / np.float32(units_per_metre)
    depth[stored == 0] = np.nan
    return depth


def _read_depth_array(path: Path) -> Depth:
    try:
        stored = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f'{path}: not a readable array ({error})') from error
    if stored.ndim != 2 or not np.issubdtype(stored.dtype, np.floating):
        raise InputError(f'{path}: {stored.dtype} of shape {stored.shape}; depth arrays are float metres (H, W)')
    depth: Depth = stored.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


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


def _kitti_sources(path: Path, split: str, modality: Modality) -> tuple[list[DepthSource], list[str]]:
    if modality != 'visible':
        raise InputError('the kitti layout holds visible images only')
    sources, skipped = [], []
    for depth in sorted(path.glob(f'{split}/*/proj_depth/groundtruth/image_02/*.png')):
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
