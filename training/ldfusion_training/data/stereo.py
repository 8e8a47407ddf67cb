"""Depth from a second camera beside the first: semi-global matching, checked from both sides.

A folder of right images holds ``NAME.*`` for left images of the same name, and ``baseline_m.json``: metres between both
cameras by the beginning of the names.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.depth import Depth, read_json
from ldfusion_training.data.pairs import Image8, images_by_name

BASELINES = 'baseline_m.json'
DISPARITIES = 128
# Nearer to infinity than this, in pixels, a disparity says little; and by how many both sides may differ.
SMALLEST_DISPARITY, LARGEST_DIFFERENCE = 1.5, 1.0
FARTHEST = 60.0


@dataclass(frozen=True)
class RightImages:
    """Right images by name, and each one's baseline in metres."""

    files: dict[str, Path]
    baselines: dict[str, float]

    def depth(self, name: str, left: Image8, focal: float) -> Depth | None:
        """Depth (H, W) of the left image ``name`` (H, W, 3) in metres, NaN where unknown; None without a right one.

        Raises:
            InputError: the right image can't be read, or has another size.
        """
        if name not in self.files:
            return None
        right = as_rgb8(read_image(self.files[name]))
        if right.shape != left.shape:
            raise InputError(f'{self.files[name]}: its size is not that of the left image')
        baseline = next(metres for start, metres in self.baselines.items() if name.startswith(start))
        return stereo_depth(left, right, focal * baseline)


def open_right_images(folder: Path) -> RightImages:
    """The right images of a folder.

    Raises:
        InputError: no such folder, no baselines, or an image whose baseline is not known.
    """
    baselines = {str(name): float(value) for name, value in read_json(folder / BASELINES).items()}
    files = images_by_name(folder)
    unknown = [name for name in files if not name.startswith(tuple(baselines))]
    if unknown:
        raise InputError(f'{folder / BASELINES}: no baseline for {unknown[0]}')
    return RightImages(files, baselines)


def stereo_depth(left: Image8, right: Image8, focal_baseline: float) -> Depth:
    """Depth (H, W) in metres, NaN where the two matchings disagree or it is beyond ``FARTHEST``.

    Args:
        left, right: (H, W, 3), rectified.
        focal_baseline: focal length in pixels times baseline in metres.
    """
    first, second = (np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) for image in (left, right))
    of_left = _disparity(first, second)
    of_right = _disparity(second[:, ::-1], first[:, ::-1])[:, ::-1]
    width = of_left.shape[1]
    partner = np.arange(width)[None] - np.round(of_left).astype(int)
    back = np.take_along_axis(of_right, np.clip(partner, 0, width - 1), 1)
    agree = (of_left > SMALLEST_DISPARITY) & (np.abs(of_left - back) < LARGEST_DIFFERENCE) & (partner >= 0)
    # Single pixels agree by chance.
    agree = cv2.morphologyEx(agree.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    depth = np.where(agree, focal_baseline / np.maximum(of_left, 1e-3), np.nan).astype(np.float32)
    depth[depth > FARTHEST] = np.nan
    return depth


def _disparity(image: Image8, other: Image8) -> npt.NDArray[np.float32]:
    matcher = cv2.StereoSGBM.create(0, DISPARITIES, 5, 200, 800, 1, 31, 10, 100, 2, cv2.STEREO_SGBM_MODE_SGBM_3WAY)
    # Without a margin, the matcher would leave out as many columns as there are disparities.
    wider = [cv2.copyMakeBorder(each, 0, 0, DISPARITIES, 0, cv2.BORDER_REPLICATE) for each in (image, other)]
    found: npt.NDArray[np.float32] = np.asarray(matcher.compute(*wider)[:, DISPARITIES:], np.float32) / np.float32(16)
    return found
