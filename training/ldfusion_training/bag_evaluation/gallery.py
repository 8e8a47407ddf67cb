"""Which frames of a recording are shown: some evenly from the whole time, and the worst ones; a bounded number."""

import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.files import written_whole
from ldfusion_training.bag_evaluation.measures import BY_NAME, measured_depth
from ldfusion_training.bag_evaluation.pairs import FusedShot
from ldfusion_training.evaluation.depth_metrics import Depth, is_known
from ldfusion_training.recordings.bags import SECOND
from ldfusion_training.report.pictures import DepthScale, colour_depth

# Between half as many and so many are kept of the even ones, and so many of the worst by each measure.
EVEN, WORST = 16, 2
WORST_BY = ('VIF', 'Qabf', 'Nabf', 'flicker', 'AbsRel')
# Two of the worst frames are so far apart, or they would show the same.
APART_NS = 2 * SECOND
WIDTH = 320
# Of the JPEG files, in percent.
QUALITY = 85
KINDS = ('visible', 'thermal', 'fused', 'depth', 'measured depth')
# One scale for all recordings and runs, so that colours can be compared.
DEPTH_SCALE = DepthScale(0.5, 80.0)
# Fewer known pixels than this are drawn larger, or they would not be seen.
SPARSE = 0.3


@dataclass(frozen=True)
class Worst:
    """One of the worst frames by a measure."""

    index: int
    stamp_ns: int
    value: float


class Gallery:
    """Keeps the choice up to date while frames come; the same frames give the same choice."""

    def __init__(self) -> None:
        self.even: list[int] = []
        self.worst: dict[str, list[Worst]] = {name: [] for name in WORST_BY}
        self._stride = 1

    def offer(self, index: int, stamp_ns: int, values: Mapping[str, float]) -> tuple[bool, list[int]]:
        """Take or leave the next frame; returns whether it is taken, and which frames no longer are."""
        before = self.indices()
        if index % self._stride == 0:
            self.even.append(index)
            if len(self.even) > EVEN:
                self._stride *= 2
                self.even = [kept for kept in self.even if kept % self._stride == 0]
        for name, worst in self.worst.items():
            value = values.get(name, math.nan)
            if math.isfinite(value):
                self.worst[name] = _with(worst, Worst(index, stamp_ns, value), BY_NAME[name].better)
        after = self.indices()
        return index in after, sorted(before - after)

    def indices(self) -> set[int]:
        """All frames that are kept."""
        return {*self.even, *(worst.index for kept in self.worst.values() for worst in kept)}


def _with(kept: list[Worst], new: Worst, better: int) -> list[Worst]:
    """The worst frames, first the very worst, with a new one; of frames that are near to each other the worse stays."""
    near = [worst for worst in kept if abs(worst.stamp_ns - new.stamp_ns) < APART_NS]
    if any(worst.value * better <= new.value * better for worst in near):
        return kept
    far = [worst for worst in kept if worst not in near]
    return sorted([*far, new], key=lambda worst: worst.value * better)[:WORST]


def save_pictures(folder: Path, shot: FusedShot) -> None:
    """Write a frame's images, reduced, into a folder of its own."""
    frame = shot.frame
    pictures = {
        'visible': frame.visible,
        'thermal': frame.thermal,
        'fused': frame.fused,
        'depth': colour_depth(reduce_depth(frame.depth), DEPTH_SCALE),
    }
    if shot.recorded.truth is not None:
        # The measures have said what is wrong with it, if anything is.
        with suppress(InputError):
            pictures['measured depth'] = colour_depth(reduce_depth(measured_depth(shot)), DEPTH_SCALE)
    for kind, picture in pictures.items():
        _write_jpeg(folder / f'{kind}.jpg', reduce_picture(picture))


def _write_jpeg(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    data = cv2.imencode('.jpg', stored, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    with written_whole(path) as temporary:
        temporary.write_bytes(data.tobytes())


def remove_pictures(folder: Path) -> None:
    """Remove a frame's pictures."""
    shutil.rmtree(folder, ignore_errors=True)


def reduce_picture(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture of at most ``WIDTH`` pixels, its proportions kept."""
    height, width = picture.shape[:2]
    if width <= WIDTH:
        return picture
    size = WIDTH, max(1, round(height * WIDTH / width))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def reduce_depth(depth: Depth) -> Depth:
    """Depth (H, W) for a picture of that width: of the pixels that fall together the nearest."""
    known = is_known(depth)
    stride = max(1, depth.shape[1] // WIDTH)
    window = np.ones((stride, stride) if known.mean() >= SPARSE else (2 * stride + 1, 2 * stride + 1), np.uint8)
    nearest = cv2.erode(np.where(known, depth, np.float32(np.inf)), window)
    shown = np.asarray(nearest[stride // 2 :: stride, stride // 2 :: stride])
    return np.where(np.isfinite(shown), shown, np.float32(np.nan)).astype(np.float32)
