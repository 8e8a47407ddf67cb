"""Flicker of fused video: what changes between frames beyond what the camera's own motion explains.

With exact depth and poses, as the simulator writes them, each pixel of a frame is looked up in the frame before.
Pixels that were hidden, out of view or on moving things then are left out, by comparing depths. What is left shows
the same point of the world twice, so any difference of its grey is flicker (or noise, shading that depends on the
view, and interpolation: compare with the sources and with the average of both, which have those as well).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, points_from_depth
from ldfusion_models.errors import InputError
from ldfusion_training.data.depth import Depth
from ldfusion_training.data.pairs import Image8
from ldfusion_training.data.simulated import SimulatedFrame
from ldfusion_training.metrics import to_grey

# Depths that differ by more than this part are two different things.
SAME_DEPTH = 0.01
# Pixels of the half-sized images by which flow there and back may miss the start.
RETURN_ERROR = 0.5


@dataclass(frozen=True)
class Motion:
    """Where the pixels of a frame were in the frame before.

    Attributes:
        columns, rows: (H, W) float32, pixel coordinates in the frame before.
        seen: (H, W) bool, whether the same point was visible there.
    """

    columns: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Flicker:
    """Flicker of one video.

    Attributes:
        difference: mean absolute difference of the grey of points seen in two frames, in grey levels.
        relative: that over the mean standard deviation of the frames, for a pale image flickers less at no merit.
        brightness: mean absolute change of the frame's mean grey over those points, in grey levels: pumping.
        seen: mean share of pixels that could be compared.
    """

    difference: float
    relative: float
    brightness: float
    seen: float


def motion_between(
    before: Depth,
    now: Depth,
    camera: Intrinsics,
    before_T_now: npt.NDArray[np.float64],  # noqa: N803
) -> Motion:
    """Exact motion of the points of a still world.

    Args:
        before, now: depth (H, W) in metres of two frames, NaN unknown.
        camera: of both.
        before_T_now: 4x4, points of the optical frame now to that of the frame before.
    """
    points = points_from_depth(now, camera) @ before_T_now[:3, :3].T + before_T_now[:3, 3]
    depth = points[..., 2].astype(np.float32)
    ahead = np.isfinite(depth) & (depth > 0)
    safe = np.where(ahead[..., None], points, (0.0, 0.0, 1.0))
    columns = (camera.fx * safe[..., 0] / safe[..., 2] + camera.cx).astype(np.float32)
    rows = (camera.fy * safe[..., 1] / safe[..., 2] + camera.cy).astype(np.float32)
    # The nearest pixel: between two depths lies a depth that nothing has.
    met = cv2.remap(before, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=float('nan'))
    with np.errstate(invalid='ignore'):
        seen = ahead & (np.abs(met - depth) < SAME_DEPTH * depth)
    return Motion(columns, rows, np.asarray(seen, np.bool_))


def estimated_motion(before: Image8, now: Image8) -> Motion:
    """Motion by optical flow, for video without depth and poses; grey (H, W).

    A point is taken as seen where flow there and back ends within a pixel of where it began.
    """
    height, width = now.shape
    size = width // 2, height // 2
    small_before, small_now = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (before, now))
    # At half the size the flow is as good, for a quarter of the time.
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    start = np.zeros((size[1], size[0], 2), np.float32)
    there = flow.calc(small_now, small_before, start.copy())
    back = flow.calc(small_before, small_now, start.copy())
    columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    met_columns, met_rows = columns + there[..., 0], rows + there[..., 1]
    returned = cv2.remap(back, met_columns, met_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1e6)
    seen = ((there + returned) ** 2).sum(axis=2) < RETURN_ERROR**2
    scale = np.array([width / size[0], height / size[1]], np.float32)
    large = cv2.resize(there, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    seen = cv2.resize(seen.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return Motion(columns + large[..., 0], rows + large[..., 1], np.asarray(seen, np.bool_))


def warped_difference(before: Image8, now: Image8, motion: Motion) -> npt.NDArray[np.float32]:
    """Grey of each point now minus its grey in the frame before (H, W); NaN where it was not seen."""
    earlier = cv2.remap(to_grey(before).astype(np.float32), motion.columns, motion.rows, cv2.INTER_LINEAR)
    difference = to_grey(now).astype(np.float32) - earlier
    return np.where(motion.seen, difference, np.float32(np.nan)).astype(np.float32)


def flicker_between(before: Image8, now: Image8, motion: Motion) -> Flicker:
    """Flicker of two frames, grey or RGB; NaN where no point is seen in both."""
    if not motion.seen.any():
        return Flicker(float('nan'), float('nan'), float('nan'), 0.0)
    return measure_flicker([before, now], [motion])


def motions(frames: Sequence[SimulatedFrame]) -> Iterator[Motion]:
    """The motion from each frame to the next.

    Raises:
        InputError: fewer than two frames, or unreadable depth.
    """
    if len(frames) < 2:
        raise InputError('flicker needs at least two frames of a scene')
    before = frames[0].read_depth()
    for earlier, later in pairwise(frames):
        now = later.read_depth()
        before_t_now = np.linalg.inv(earlier.world_T_visible) @ later.world_T_visible
        yield motion_between(before, now, later.visible_camera, before_t_now)
        before = now


def measure_flicker(images: Sequence[Image8], known_motions: Sequence[Motion]) -> Flicker:
    """Flicker of a video, grey or RGB; ``known_motions`` has one fewer than there are images.

    Raises:
        InputError: counts that don't fit, or no point that is seen twice.
    """
    if len(images) != len(known_motions) + 1:
        raise InputError(f'{len(images)} images for {len(known_motions)} motions; one more image is needed')
    differences = [
        warped_difference(before, now, motion)
        for (before, now), motion in zip(pairwise(images), known_motions, strict=True)
    ]
    if not all(motion.seen.any() for motion in known_motions):
        raise InputError('two frames have no point in common')
    difference = float(np.mean([np.nanmean(np.abs(values)) for values in differences]))
    contrast = float(np.mean([to_grey(image).std() for image in images]))
    return Flicker(
        difference=difference,
        relative=difference / contrast if contrast > 0 else float('nan'),
        brightness=float(np.mean([abs(np.nanmean(values)) for values in differences])),
        seen=float(np.mean([motion.seen.mean() for motion in known_motions])),
    )
