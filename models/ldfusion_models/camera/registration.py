"""Registration: the thermal image in the pixels of the visible one, and both without the distortion of their lenses.

What is known of the two cameras is a :class:`Registration`, read from a file and completed by what calibrations and
transforms bring; a :class:`Registrar` applies it to pairs. Node and offline evaluation use both. Arrays only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_image
from ldfusion_models.camera.lens import Intrinsics, Lens, rays
from ldfusion_models.errors import InputError

METHODS = ('none', 'homography', 'cameras')
GEOMETRIES = ('plane', 'depth')
# Where the thermal image ends, its details fade out over this part of the visible image's width, and its brightness.
FEATHER = 0.05
BRIGHTNESS_FEATHER = 0.2
# Beyond its end, it goes on as bright as it was within these parts of the width; worked out for every so many pixels.
CONTINUATION = (0.08, 0.02, 0.005)
CONTINUATION_STEP = 8
# With depth as geometry, the parallax is worked out for every so many pixels each way.
DEPTH_STEP = 4
# OpenCV's maps hold 16 bits.
LARGEST_MAP = 16000.0
# Rows of a rotation read from text are orthonormal to about this.
ROTATION_TOLERANCE = 1e-3

Image = AnyImage
Pixels = npt.NDArray[np.float32]
Maps = tuple[Pixels, Pixels]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Registration:
    """How the thermal image is mapped into the visible one; docs/registration.md explains the file.

    Attributes:
        method: ``none``, the images show the same; ``homography``; or ``cameras``, from both calibrations.
        undistort: remove the lenses' distortion; images are taken as they are otherwise.
        visible, thermal: the cameras with their lenses; None where their camera_info is to tell.
        visible_size, thermal_size: width and height of the images that the homography is for.
        thermal_H_visible: (3, 3), pixels of the visible image to pixels of the thermal image.
        thermal_T_visible: (4, 4), points of the visible optical frame to the thermal one; None where TF is to tell.
        thermal_shift: what the cameras say lies at thermal pixel (x, y) is at (x + dx, y + dy).
        geometry: where things are taken to be for ``cameras``: on a ``plane``, or where the last ``depth`` map says.
        distance: of the plane from the visible camera in metres; also stands in where depth is unknown.
        visible_T_ranges: by frame, (4, 4), points of a sensor that measures ranges to the visible optical frame.

    Raises:
        InputError: a value that can't be.
    """

    method: str = 'none'
    undistort: bool = False
    visible: Lens | None = None
    thermal: Lens | None = None
    visible_size: tuple[int, int] | None = None
    thermal_size: tuple[int, int] | None = None
    thermal_H_visible: Matrix | None = None  # noqa: N815 (frames' usual notation)
    thermal_T_visible: Matrix | None = None  # noqa: N815
    thermal_shift: tuple[float, float] = (0.0, 0.0)
    geometry: str = 'plane'
    distance: float = 10.0
    visible_T_ranges: Mapping[str, Matrix] = field(default_factory=dict)  # noqa: N815

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f'method {self.method!r}: choose one of {", ".join(METHODS)}')
        if self.geometry not in GEOMETRIES:
            raise InputError(f'geometry {self.geometry!r}: choose one of {", ".join(GEOMETRIES)}')
        if not (math.isfinite(self.distance) and self.distance > 0):
            raise InputError(f'distance {self.distance}: metres above 0 are needed')
        if self.method == 'cameras' and not self.undistort:
            raise InputError('method cameras works on undistorted images; leave undistort out or set it to true')
        if self.method == 'homography':
            if self.thermal_H_visible is None or self.visible_size is None or self.thermal_size is None:
                raise InputError('method homography needs thermal_H_visible, visible_size and thermal_size')
            if abs(np.linalg.det(np.array(self.thermal_H_visible))) < 1e-9:
                raise InputError('thermal_H_visible cannot be inverted')
        if self.thermal_T_visible is not None:
            _check_rigid('thermal_T_visible', self.thermal_T_visible)
        for frame, matrix in self.visible_T_ranges.items():
            _check_rigid(f'visible_T_ranges of {frame}', matrix)

    def complete(
        self, visible: Lens | None = None, thermal: Lens | None = None, thermal_from_visible: Matrix | None = None
    ) -> 'Registration':
        """With cameras and extrinsics from elsewhere for those that it doesn't hold itself."""
        return replace(
            self,
            visible=self.visible or visible,
            thermal=self.thermal or thermal,
            thermal_T_visible=self.thermal_T_visible or thermal_from_visible,
        )

    def ranges_to(self, camera: str, frame: str) -> Matrix | None:
        """Points of a sensor's frame to the optical frame of the ``visible`` or ``thermal`` camera; None if unknown."""
        known = self.visible_T_ranges.get(frame.lstrip('/'))
        if known is None or camera == 'visible':
            return known
        turn = self.thermal_T_visible
        return None if turn is None else as_matrix(np.array(turn) @ np.array(known))

    def missing(self) -> list[str]:
        """Which of ``visible camera``, ``thermal camera`` and ``thermal_T_visible`` it needs and doesn't have."""
        missing = []
        if self.undistort:
            missing += [f'{name} camera' for name in ('visible', 'thermal') if getattr(self, name) is None]
        if self.method == 'cameras' and self.thermal_T_visible is None:
            missing.append('thermal_T_visible')
        return missing


@dataclass(frozen=True)
class Registered:
    """A pair in the pixels of one image.

    Attributes:
        visible: (H, W) or (H, W, 3), undistorted if the registration says so.
        thermal: (H, W), of the type that came in.
        coverage: (H, W) float32 from 0, where the thermal camera doesn't see, to 1; None if it sees all.
        camera: the visible camera at this size; None if unknown.
    """

    visible: Image
    thermal: Image
    coverage: npt.NDArray[np.float32] | None
    camera: Intrinsics | None


class Registrar:
    """Applies a registration to the pairs of one rig; maps are made anew when the size of the images changes."""

    def __init__(self, registration: Registration) -> None:
        """Take a registration.

        Raises:
            InputError: it lacks a camera or the extrinsics; see :meth:`Registration.missing`.
        """
        if missing := registration.missing():
            raise InputError(
                f'registration by {registration.method} lacks {" and ".join(missing)}: '
                'publish camera_info or TF, or write it into the registration file'
            )
        self.registration = registration
        self._sizes = (0, 0, 0, 0)
        self._undistort: dict[str, _Undistorter] = {}
        if registration.undistort:
            lenses = {'visible': registration.visible, 'thermal': registration.thermal}
            self._undistort = {name: _Undistorter(lens) for name, lens in lenses.items() if lens}

    def __call__(self, visible: Image, thermal: Image, depth: npt.NDArray[np.float32] | None = None) -> Registered:
        """Register one pair.

        Args:
            visible: (H, W) or (H, W, 3).
            thermal: (h, w) or (h, w, 3), of another size than the visible image if need be.
            depth: (H, W), or smaller, metres: what was seen last in the registered visible image; used if geometry is
                ``depth``.
        """
        height, width = visible.shape[:2]
        sizes = (width, height, thermal.shape[1], thermal.shape[0])
        if sizes != self._sizes:
            self._prepare(sizes)
        maps, coverage = self._maps, self._coverage
        if self.registration.geometry == 'depth' and depth is not None:
            maps, coverage = self._with_parallax(depth)
        image, camera = self.alone('visible', visible)
        return Registered(image, _remapped(thermal, maps), coverage, camera)

    def alone(self, camera: str, image: Image) -> tuple[Image, Intrinsics | None]:
        """An image of the ``visible`` or ``thermal`` camera by itself, undistorted if the registration says so.

        The pinhole camera beside it is None if unknown.
        """
        height, width = image.shape[:2]
        if camera in self._undistort:
            return self._undistort[camera](image)
        lens: Lens | None = getattr(self.registration, camera)
        return image, lens.camera.scaled(width, height) if lens else None

    def _prepare(self, sizes: tuple[int, int, int, int]) -> None:
        width, height, thermal_width, thermal_height = self._sizes = sizes
        pixels = thermal_pixels(self.registration, *sizes)
        self._coverage = _coverage(pixels, thermal_width, thermal_height)
        self._planes = _maps(pixels)
        self._maps = self._within_thermal(self._planes)
        self._coarse_sizes = (-(-width // DEPTH_STEP), -(-height // DEPTH_STEP), thermal_width, thermal_height)
        self._coarse_pixels = thermal_pixels(self.registration, *self._coarse_sizes)

    def _with_parallax(self, depth: npt.NDArray[np.float32]) -> tuple[Maps, npt.NDArray[np.float32] | None]:
        """Maps and coverage for things at this depth: those of the plane, moved by the difference in parallax."""
        width, height, thermal_width, thermal_height = self._sizes
        coarse = cv2.resize(depth, self._coarse_sizes[:2], interpolation=cv2.INTER_NEAREST)
        with np.errstate(invalid='ignore'):
            coarse = np.where(coarse > 0, coarse, np.float32(self.registration.distance))
        moved = thermal_pixels(self.registration, *self._coarse_sizes, np.asarray(coarse, np.float32))
        parallax = np.nan_to_num(moved - self._coarse_pixels)
        columns, rows = (
            plane + cv2.resize(np.ascontiguousarray(moved), (width, height), interpolation=cv2.INTER_LINEAR)
            for plane, moved in zip(self._planes, np.moveaxis(parallax, 2, 0), strict=True)
        )
        coverage = _coverage(self._coarse_pixels + parallax, thermal_width, thermal_height)
        if coverage is not None:
            coverage = np.asarray(cv2.resize(coverage, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        return self._within_thermal((columns, rows)), coverage

    def _within_thermal(self, maps: Maps) -> Maps:
        """Beyond its border the thermal image is as it is there."""
        columns, rows = (np.clip(plane, 0, size - 1) for plane, size in zip(maps, self._sizes[2:], strict=True))
        return columns, rows


class _Undistorter:
    """Removes the distortion of one lens."""

    def __init__(self, lens: Lens) -> None:
        self._lens = lens
        self._size = (0, 0)

    def __call__(self, image: Image) -> tuple[Image, Intrinsics]:
        size = image.shape[1], image.shape[0]
        lens = self._lens.scaled(*size)
        if not lens.is_distorted and lens.pinhole == lens.camera:
            return image, lens.camera
        if size != self._size:
            self._maps = _maps(lens.project(rays(lens.pinhole)))
            self._size = size
        return _remapped(image, self._maps), lens.pinhole


def thermal_pixels(
    registration: Registration,
    width: int,
    height: int,
    thermal_width: int,
    thermal_height: int,
    depth: npt.NDArray[np.float32] | None = None,
) -> Pixels:
    """Where in the thermal image (of that size) each pixel of the registered visible image lies: (height, width, 2).

    NaN where the thermal lens can't see at all. ``depth`` (height, width) in metres replaces the plane of ``cameras``.
    """
    if registration.method == 'cameras':
        assert registration.visible and registration.thermal and registration.thermal_T_visible
        along = np.float32(registration.distance) if depth is None else depth[..., None]
        points = rays(registration.visible.pinhole.scaled(width, height)) * along
        matrix = np.array(registration.thermal_T_visible, np.float32)
        lens = registration.thermal.scaled(thermal_width, thermal_height)
        native = registration.thermal.camera
        shift = np.array(registration.thermal_shift) * (thermal_width / native.width, thermal_height / native.height)
        seen = lens.project(points @ matrix[:3, :3].T + matrix[:3, 3])
        return np.asarray(seen + shift.astype(np.float32), np.float32)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    if registration.method == 'homography':
        assert registration.visible_size and registration.thermal_size
        grid = _resize(grid, (width, height), registration.visible_size)
        mapped = (
            np.concatenate((grid, np.ones((height, width, 1))), axis=-1)
            @ np.array(registration.thermal_H_visible, np.float64).T
        )
        ahead = mapped[..., 2:] * np.sign(mapped[height // 2, width // 2, 2]) > 0
        grid = np.where(ahead, mapped[..., :2] / np.where(ahead, mapped[..., 2:], 1), np.nan)
        grid = _resize(grid, registration.thermal_size, (thermal_width, thermal_height))
    else:
        grid = _resize(grid, (width, height), (thermal_width, thermal_height))
    pixels = grid.astype(np.float32)
    if registration.undistort and registration.thermal:
        lens = registration.thermal.scaled(thermal_width, thermal_height)
        pinhole = lens.pinhole
        directions = np.ones((height, width, 3), np.float32)
        directions[..., 0] = (pixels[..., 0] - pinhole.cx) / pinhole.fx
        directions[..., 1] = (pixels[..., 1] - pinhole.cy) / pinhole.fy
        pixels = lens.project(directions)
    return pixels


def continue_thermal(
    thermal: npt.NDArray[np.uint8], luminance: npt.NDArray[np.uint8], coverage: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """``thermal`` (H, W); where ``coverage`` is 0, the visible ``luminance``, as bright as the thermal image beside it.

    A step or a ramp at the border would be an edge to the networks, in the fused image as in depth.
    """
    height, width = thermal.shape
    inside = np.asarray(coverage > 0, np.uint8) * np.uint8(255)
    size = -(-width // CONTINUATION_STEP), -(-height // CONTINUATION_STEP)
    # Means over known pixels times their number, so that a coarse pixel may be known in part.
    known, hot, light = (
        cv2.resize(cv2.bitwise_and(image, inside), size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (inside, thermal, luminance)
    )
    known /= 255
    wanted = hot - light
    offset = np.zeros_like(wanted)
    for part in CONTINUATION:
        left, weight = (cv2.GaussianBlur(x, (0, 0), part * size[0]) for x in (wanted - known * offset, known))
        # Far from what is known the weight goes to zero, and with this the offset.
        offset = offset + left / (weight + np.float32(0.05))
    smooth = cv2.resize(offset.astype(np.int16), (width, height), interpolation=cv2.INTER_LINEAR)
    filled = cv2.add(luminance, smooth, dtype=cv2.CV_8U)
    return np.asarray(cv2.copyTo(thermal, inside, filled), np.uint8)


def fade_out(
    image: npt.NDArray[np.uint8], fallback: npt.NDArray[np.uint8], coverage: npt.NDArray[np.float32]
) -> npt.NDArray[np.uint8]:
    """``image`` (H, W, 3) where ``coverage`` (H, W) is 1, ``fallback`` where it is 0, and in between what lies between.

    Details fade with the coverage, mean brightness over more of the image, so that no box shows.
    """
    height, width = coverage.shape
    size = -(-width // CONTINUATION_STEP), -(-height // CONTINUATION_STEP)
    # A quarter of the pixels each way gives nearly the same means at half of the cost.
    own, other, weight = (
        cv2.resize(plane[::4, ::4], size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for plane in (image, fallback, coverage)
    )
    brighter = cv2.GaussianBlur(own - other, (0, 0), CONTINUATION[0] * size[0])
    inwards = cv2.distanceTransform((weight > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    excess = np.minimum(_smooth_step(inwards / (BRIGHTNESS_FEATHER * size[0])) - weight, 0)
    correction = (excess[..., None] * brighter).astype(np.int16)
    blended = cv2.blendLinear(image, fallback, coverage, 1 - coverage)
    smooth = cv2.resize(correction, (width, height), interpolation=cv2.INTER_LINEAR)
    between = cv2.max(cv2.add(blended, smooth, dtype=cv2.CV_8U), cv2.min(image, fallback))
    between = cv2.min(between, cv2.max(image, fallback))
    return np.asarray(cv2.copyTo(fallback, np.asarray(coverage == 0, np.uint8), between), np.uint8)


def as_matrix(values: npt.NDArray[Any]) -> Matrix:
    """A matrix as a :class:`Registration` holds it."""
    return tuple(tuple(float(value) for value in row) for row in values)


def _resize(pixels: npt.NDArray[np.float64], size: tuple[int, int], other: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Pixels (..., 2) of an image of ``size`` in the same image at another size; centres at whole numbers."""
    return np.asarray((pixels + 0.5) * (np.array(other) / np.array(size)) - 0.5)


def _maps(pixels: Pixels) -> Maps:
    """Columns and rows (H, W) of pixels (H, W, 2), as far away as OpenCV can hold; NaN becomes a pixel far outside."""
    within = np.clip(np.nan_to_num(pixels, nan=-LARGEST_MAP), -LARGEST_MAP, LARGEST_MAP)
    return np.ascontiguousarray(within[..., 0], np.float32), np.ascontiguousarray(within[..., 1], np.float32)


def _remapped(image: Image, maps: Maps) -> Image:
    """``image`` at these places, black outside of it.

    Maps of floats and a constant border are what OpenCV is fastest with, and three channels what it is slowest with.
    """
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        four = cv2.remap(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), *maps, cv2.INTER_LINEAR)
        return as_image(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB))
    return as_image(cv2.remap(image, *maps, cv2.INTER_LINEAR))


def _coverage(pixels: Pixels, thermal_width: int, thermal_height: int) -> npt.NDArray[np.float32] | None:
    """Weight (H, W) of the thermal image: 0 outside of it, rising to 1 from its border inwards; None if 1 all over."""
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x >= -0.5) & (x <= thermal_width - 0.5) & (y >= -0.5) & (y <= thermal_height - 0.5)
    if inside.all():
        return None
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return _smooth_step(distance / max(1.0, FEATHER * pixels.shape[1]))


def _smooth_step(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """From 0 at 0 to 1 at 1, without a bend at either."""
    ramp = np.clip(values, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def _check_rigid(name: str, matrix: Matrix) -> None:
    values = np.array(matrix)
    rotation = values[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=ROTATION_TOLERANCE) and np.linalg.det(rotation) > 0
    if not is_rotation or not np.allclose(values[3], (0, 0, 0, 1)):
        raise InputError(f'{name} is no rigid transform: a rotation, a translation in metres, and 0 0 0 1')
