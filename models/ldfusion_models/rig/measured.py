"""What other sensors have measured, as references in the pixels of an image: clouds, scans, and cones of sonars."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.camera_info import Calibration
from ldfusion_models.camera.lens import Intrinsics, Lens
from ldfusion_models.camera.ranges import cone_of_range, points_of_cloud, points_of_scan
from ldfusion_models.camera.registration import Matrix
from ldfusion_models.errors import InputError
from ldfusion_models.rig.references import Depth, References, Values

# Points in one of this many cells across the image may hide each other.
CELLS = 160
# Directions of a cone that are looked at, and the part of them that looks at what returned the echo.
DIRECTIONS = 256
NEAREST_PART = 0.1
# Messages that wait for their image, of each sensor; sensors that are remembered.
KEPT, SENSORS = 20, 32


class Measured(Protocol):
    """Measured depth, wherever it comes from."""

    def seen_in(self, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None) -> References:
        """Where it is in an image whose estimated ``depth`` (H, W) is given.

        Args:
            depth: metres, NaN where unknown.
            camera, calibration: as :class:`~ldfusion_models.rig.rig.View` has them, at this size.

        Raises:
            InputError: it can't be told.
        """
        ...


@dataclass(frozen=True)
class MeasuredPoints:
    """Points (N, 3) in metres, for a shot in the optical frame of the camera that leads; NaN for rays without echo."""

    points: Values
    source: str

    def moved(self, matrix: npt.ArrayLike) -> 'MeasuredPoints':
        """In the frame to which ``matrix`` (4, 4) takes that of these points."""
        return replace(self, points=_moved(self.points, matrix))

    def seen_in(self, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None) -> References:
        """Those that fall into the image; of several in one small cell the nearest, for it may hide the others."""
        ahead, pixels = _in_image(self, depth, camera, calibration)
        order = np.argsort(ahead[:, 2], kind='stable')
        _, first = np.unique(pixels[order] // max(2.0, depth.shape[1] / CELLS), axis=0, return_index=True)
        nearest = order[np.sort(first)]
        return References.at(pixels[nearest], ahead[nearest, 2], self.source, depth)


@dataclass(frozen=True)
class MeasuredCone:
    """The distance to the nearest thing in a cone, as a sonar measures it: sensor_msgs/Range.

    Attributes:
        points: (``DIRECTIONS``, 3) metres, where that thing may be; NaN without an echo.
        source: what measured it, for people.
    """

    points: Values
    source: str

    @classmethod
    def of(cls, distance: float, half_angle: float, source: str) -> 'MeasuredCone':
        """A cone around x of its sensor's frame: metres, radians."""
        turn = np.arange(DIRECTIONS) * math.pi * (3 - math.sqrt(5))
        along = 1 - (1 - math.cos(half_angle)) * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
        aside = np.sqrt(1 - along**2)
        directions = np.stack([along, aside * np.cos(turn), aside * np.sin(turn)], axis=1)
        return cls((distance * directions).astype(np.float32), source)

    def moved(self, matrix: npt.ArrayLike) -> 'MeasuredCone':
        """As :meth:`MeasuredPoints.moved`."""
        return replace(self, points=_moved(self.points, matrix))

    def seen_in(self, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None) -> References:
        """The part of the cone where the estimate is nearest: there the echo comes from, whatever the estimate's scale.

        Raises:
            InputError: as :meth:`Measured.seen_in`, or the echo may come from outside of the image.
        """
        ahead, pixels = _in_image(self, depth, camera, calibration)
        if 0 < len(ahead) < 0.95 * DIRECTIONS:
            raise InputError(f'{self.source}: its cone is only partly in view')
        seen = References.at(pixels, ahead[:, 2], self.source, depth)
        far = np.log(seen.sampled(depth)) - np.log(seen.depth)
        return seen.where(far <= np.nanquantile(far, NEAREST_PART)) if np.isfinite(far).any() else seen


@dataclass(frozen=True)
class MeasuredTogether:
    """What several sensors have measured; one that can't be used doesn't keep the others from it."""

    parts: Sequence[Measured]

    def seen_in(self, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None) -> References:
        """References of all of them.

        Raises:
            InputError: of none there are any.
        """
        seen, problems = [], []
        for part in self.parts:
            try:
                seen.append(part.seen_in(depth, camera, calibration))
            except InputError as error:
                problems.append(error)
        if problems and not any(len(each.depth) for each in seen):
            raise problems[0]
        return References.together(seen)


def _moved(points: Values, matrix: npt.ArrayLike) -> Values:
    rotation, translation = np.split(np.asarray(matrix, np.float32)[:3], [3], axis=1)
    return np.asarray(points @ rotation.T + translation[:, 0], np.float32)


def _in_image(
    measured: MeasuredPoints | MeasuredCone, depth: Depth, camera: Intrinsics | None, calibration: Calibration | None
) -> tuple[Values, Values]:
    """The points (N, 3) that fall into the image, and their pixels (N, 2)."""
    if camera is None:
        raise InputError(f'{measured.source}: without camera_info (or --fx) measured points have no place in the image')
    height, width = depth.shape
    points = measured.points[np.isfinite(measured.points).all(axis=1)]
    lens = calibration.lens if calibration is not None and calibration.lens is not None else Lens(camera)
    pixels = lens.project(points)
    with np.errstate(invalid='ignore'):
        seen = ((pixels > -0.5) & (pixels < (width - 0.5, height - 0.5))).all(axis=1)
    return points[seen], pixels[seen]


Reader = Callable[[Any, str], MeasuredPoints | MeasuredCone]
# By the message's ROS type, whatever library made the message.
READERS: Mapping[str, Reader] = {
    'sensor_msgs/msg/PointCloud2': lambda message, source: MeasuredPoints(points_of_cloud(message), source),
    'sensor_msgs/msg/LaserScan': lambda message, source: MeasuredPoints(points_of_scan(message), source),
    'sensor_msgs/msg/Range': lambda message, source: MeasuredCone.of(*cone_of_range(message), source),
}


@dataclass(frozen=True)
class Sweep:
    """A message of measured ranges as it came; ``type`` is a key of ``READERS``."""

    topic: str
    type: str
    stamp_ns: int
    message: Any


@dataclass(frozen=True)
class Gathered:
    """What was measured at a moment.

    Attributes:
        measured: in the frame of the camera that leads; None if there is nothing that can be used.
        apart_s: how far it and the moment are apart at most.
        problem: why something was left out; empty if nothing was.
    """

    measured: Measured | None = None
    apart_s: float = 0.0
    problem: str = ''


class Sweeps:
    """Keeps the last sweeps of each sensor, told apart by topic and frame, and finds those that belong to a moment."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], deque[Sweep]] = {}

    def add(self, sweep: Sweep) -> None:
        """Keep a sweep."""
        sensor = sweep.topic, sweep.message.header.frame_id
        if sensor not in self._kept and len(self._kept) >= SENSORS:
            self._kept.pop(next(iter(self._kept)))
        self._kept.setdefault(sensor, deque(maxlen=KEPT)).append(sweep)

    def at(self, stamp_ns: int, tolerance_s: float, locate: Callable[[str], Matrix | None]) -> Gathered:
        """The nearest sweep of each sensor; one that is silent is said only where no other measured in time.

        Args:
            stamp_ns: of the moment.
            tolerance_s: that a sweep may be apart from it.
            locate: the transform (4, 4) from a frame to the camera that leads, None for its own; may raise InputError.
        """
        nearest = [
            min(list(kept), key=lambda each: abs(each.stamp_ns - stamp_ns)) for kept in list(self._kept.values())
        ]
        late = [abs(sweep.stamp_ns - stamp_ns) / 1e9 for sweep in nearest]
        in_time = [sweep for sweep, seconds in zip(nearest, late, strict=True) if seconds <= tolerance_s]
        if nearest and not in_time:
            topic = nearest[int(np.argmin(late))].topic
            words = f'{topic}: the nearest message is {min(late):.2f} s away, ranges_tolerance is {tolerance_s:g}'
            return Gathered(problem=words)
        found: list[Measured] = []
        problem = ''
        for sweep in in_time:
            try:
                measured = READERS[sweep.type](sweep.message, sweep.topic)
                if not np.isfinite(measured.points).any():
                    continue  # Nothing is in sight.
                matrix = locate(sweep.message.header.frame_id)
            except InputError as error:
                problem = problem or f'{sweep.topic}: {error}'
                continue
            found.append(measured if matrix is None else measured.moved(matrix))
        apart_s = max((seconds for seconds in late if seconds <= tolerance_s), default=0.0)
        return Gathered(MeasuredTogether(found) if found else None, apart_s, problem)
