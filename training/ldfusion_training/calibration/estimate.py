"""Estimates from many pairs how thermal images are to be mapped into visible ones.

First the scale and the shift of the whole image, then the shifts of blocks, to which a homography is fitted, again and
again with smaller blocks. All by the correlation of edge directions, summed over the pairs; half of the pairs are
kept back to measure what is left. See ``ldfusion_models/camera/alignment.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.alignment import Plane, correlation, edge_directions, peak_of, window
from ldfusion_models.camera.registration import Registrar, Registration, as_matrix, thermal_pixels
from ldfusion_models.errors import InputError

Grey = npt.NDArray[np.uint8]
Pair = tuple[Grey, Grey]
Size = tuple[int, int]
Floats = npt.NDArray[np.float64]

METHODS = ('homography', 'shift')
WORK_WIDTH, SEARCH_WIDTH = 480, 240
# Thermal pixels per visible pixel of the whole width, relative to images that show the same.
SCALES = tuple(float(scale) for scale in np.geomspace(0.4, 2.5, 20))
SEARCH_PAIRS = 12
SEARCH_REACH = 0.2
# A block's peak is the highest of few values, so less is enough.
BLOCK_CONFIDENT = 5.0
# Blocks that are off the fitted map by more than so many working pixels see something else.
INLIER = 1.5
# Rounds of refinement: side and reach of the blocks in working pixels, and what is fitted.
ROUNDS = (
    (160, 32, 'similarity'),
    (128, 16, 'affine'),
    (96, 10, 'homography'),
    (96, 6, 'homography'),
    (96, 6, 'homography'),
)
MEASURE = (96, 12)
FEWEST_PLACES = 4
NO_TEXTURE = (
    'the images share too few edges to tell where they belong; record a scene with things at many places of the image, '
    'warm and cold, in good light, with the camera moving'
)
FEWEST = {'shift': 1, 'similarity': 4, 'affine': 6, 'homography': 10}


@dataclass(frozen=True)
class Calibration:
    """What was found.

    Attributes:
        registration: to be written.
        before, after: by how many pixels of the visible image the images were apart, and still are: median over all
            blocks in which that can be told, of pairs that had no part in the estimate (if there are two or more).
        blocks: how many those are.
        pairs: used for the estimate.
    """

    registration: Registration
    before: float
    after: float
    blocks: int
    pairs: int


def calibrate(pairs: Sequence[Pair], start: Registration, method: str, search: bool = True) -> Calibration:
    """Estimate the registration of a rig.

    Args:
        pairs: visible (H, W) and thermal (h, w) images, each camera's of one size.
        start: what is known; with method ``cameras`` the shift that is left is estimated, and nothing else.
        method: ``homography``, or ``shift`` for a shift on top of ``start``.
        search: look for scale and shift of the whole image first; else ``start`` is about right.

    Raises:
        InputError: no pairs, several sizes, or images that share too few edges.
    """
    _check(pairs)
    if start.method == 'cameras' and method != 'shift':
        raise InputError('a registration by cameras can be corrected by a shift only; choose --method shift')
    fitted, measured = (pairs[::2], pairs[1::2]) if len(pairs) > 1 else (pairs, pairs)
    size, thermal_size = _size(pairs[0][0]), _size(pairs[0][1])
    known = start if start.method == 'cameras' else _as_homography(start, size, thermal_size)
    views = [_reduce(pair, WORK_WIDTH) for pair in fitted]
    if method == 'shift':
        found = _shift(views, known)
    else:
        few = fitted[:: max(1, len(fitted) // SEARCH_PAIRS)]
        found = _search([_reduce(pair, SEARCH_WIDTH) for pair in few], known) if search else known
        for side, reach, model in ROUNDS:
            found = _refine(views, found, side, reach, model)
    places, left = _block_shifts([_reduce(pair, WORK_WIDTH) for pair in measured], found, *MEASURE)
    if len(places) < FEWEST_PLACES:
        raise InputError(NO_TEXTURE)
    scale = size[0] / _size(views[0][0])[0]
    moved = _displacements(known, found, places, _size(views[0][0]))
    before, after = (float(np.median(np.linalg.norm(shifts, axis=1))) for shifts in (left + moved, left))
    # Peaks at random lie anywhere within reach.
    if after > MEASURE[1] / 2:
        raise InputError(NO_TEXTURE)
    return Calibration(found, before * scale, after * scale, len(places), len(fitted))


def _check(pairs: Sequence[Pair]) -> None:
    if not pairs:
        raise InputError('no pairs of images to calibrate with')
    for name, images in (('visible', [pair[0] for pair in pairs]), ('thermal', [pair[1] for pair in pairs])):
        if len(sizes := {_size(image) for image in images}) > 1:
            listed = ', '.join(f'{width}x{height}' for width, height in sorted(sizes))
            raise InputError(f'{name} images of several sizes ({listed}); a camera has one')


def _size(image: npt.NDArray[Any]) -> Size:
    return image.shape[1], image.shape[0]


def _reduce(pair: Pair, width: int) -> Pair:
    """Both images at most so wide."""
    visible, thermal = (_shrink(image, width) for image in pair)
    return visible, thermal


def _shrink(image: Grey, width: int) -> Grey:
    if image.shape[1] <= width:
        return image
    size = width, max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _as_homography(start: Registration, size: Size, thermal_size: Size) -> Registration:
    """The same as a homography for images of these sizes."""
    matrix = _scaling(size, thermal_size)
    if start.method == 'homography':
        assert start.thermal_H_visible and start.visible_size and start.thermal_size
        inner = np.array(start.thermal_H_visible) @ _scaling(size, start.visible_size)
        matrix = _scaling(start.thermal_size, thermal_size) @ inner
    return replace(
        start,
        method='homography',
        visible_size=size,
        thermal_size=thermal_size,
        thermal_H_visible=as_matrix(matrix / matrix[2, 2]),
    )


def _scaling(size: Size, other: Size) -> Floats:
    """Pixels of an image of ``size`` to those of the same at another; centres at whole numbers."""
    scale = np.array(other) / np.array(size)
    return np.array([[scale[0], 0, (scale[0] - 1) / 2], [0, scale[1], (scale[1] - 1) / 2], [0, 0, 1]])


def _correct(found: Registration, correction: Floats, work: Size) -> Registration:
    """With thermal content looked up at ``correction`` (3, 3) of each pixel, in images of size ``work``."""
    assert found.thermal_H_visible and found.visible_size
    enlarge = _scaling(work, found.visible_size)
    matrix = np.array(found.thermal_H_visible) @ enlarge @ correction @ np.linalg.inv(enlarge)
    return replace(found, thermal_H_visible=as_matrix(matrix / matrix[2, 2]))


def _translation(x: float, y: float) -> Floats:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _agreement(views: Sequence[Pair], found: Registration) -> Plane:
    """Summed agreement (H, W) of the whole images."""
    registrar = Registrar(found)
    total: Plane | None = None
    for visible, thermal in views:
        pair = registrar(visible, thermal)
        weight = window(*_size(visible))
        if pair.coverage is not None:
            weight *= pair.coverage
        edges = [edge_directions(np.asarray(image, np.uint8)) for image in (pair.visible, pair.thermal)]
        latest = correlation(edges[0], edges[1], weight)
        total = latest if total is None else total + latest
    assert total is not None
    return total


def _search(views: Sequence[Pair], start: Registration) -> Registration:
    """The scale and shift of the whole image at which edges agree most."""
    assert start.thermal_size and start.visible_size
    work = _size(views[0][0])
    size, thermal_size = np.array(start.visible_size), np.array(start.thermal_size)
    candidates = [start]
    for scale in SCALES:
        each = scale * thermal_size[0] / size[0]
        offset = (thermal_size - 1) / 2 - each * (size - 1) / 2
        matrix = np.array([[each, 0, offset[0]], [0, each, offset[1]], [0, 0, 1]])
        candidates.append(replace(start, thermal_H_visible=as_matrix(matrix)))
    reach = round(SEARCH_REACH * work[0])
    shifts = [peak_of(_agreement(views, candidate), reach) for candidate in candidates]
    best = max(range(len(shifts)), key=lambda index: shifts[index].confidence)
    shift = shifts[best]
    if not shift.is_certain:
        raise InputError(NO_TEXTURE)
    return _correct(candidates[best], _translation(-shift.x, -shift.y), work)


def _shift(views: Sequence[Pair], start: Registration) -> Registration:
    """With the shift of the whole image at which edges agree most."""
    found = start
    work = _size(views[0][0])
    for part in (1.0, 0.25, 0.25):
        shift = peak_of(_agreement(views, found), round(part * SEARCH_REACH * work[0]))
        if not shift.is_certain:
            raise InputError(NO_TEXTURE)
        if found.method == 'homography':
            found = _correct(found, _translation(-shift.x, -shift.y), work)
        else:
            assert found.thermal
            x, y = _slope(found, views[0]) @ (-shift.x, -shift.y) * _ratio(found, views[0])
            found = replace(found, thermal_shift=(found.thermal_shift[0] + float(x), found.thermal_shift[1] + float(y)))
    return found


def _ratio(found: Registration, view: Pair) -> Floats:
    """Pixels of the thermal camera's calibration for one pixel of a reduced image, each way."""
    assert found.thermal
    camera = found.thermal.camera
    return np.array((camera.width, camera.height)) / _size(view[1])


def _slope(found: Registration, view: Pair) -> Floats:
    """Thermal pixels for one visible pixel (2, 2), mean over the image."""
    pixels = thermal_pixels(found, *_size(view[0]), *_size(view[1]))
    return np.stack([np.nanmean(np.diff(pixels, axis=axis), axis=(0, 1)) for axis in (1, 0)], axis=1)


def _refine(views: Sequence[Pair], found: Registration, side: int, reach: int, model: str) -> Registration:
    """With the map that fits the shifts of the blocks best, as rich a model as there are blocks for."""
    places, shifts = _block_shifts(views, found, side, reach)
    if not len(places):
        raise InputError(NO_TEXTURE)
    sources = places - shifts
    allowed = [name for name in FITS if len(places) >= FEWEST[name]]
    name = model if model in allowed else allowed[-1]
    correction = _square(FITS[name](places, sources, max(INLIER, reach / 8)))
    return found if correction is None else _correct(found, correction, _size(views[0][0]))


def _block_shifts(views: Sequence[Pair], found: Registration, side: int, reach: int) -> tuple[Floats, Floats]:
    """Centres (N, 2) of the blocks that tell, and by how many pixels (N, 2) thermal content there is to be moved."""
    width, height = _size(views[0][0])
    side = min(side, width, height)
    corners = [
        (left, top)
        for top in range(0, height - side + 1, max(1, side // 2))
        for left in range(0, width - side + 1, max(1, side // 2))
    ]
    totals = {corner: np.zeros((side, side), np.float32) for corner in corners}
    shape = window(side, side)
    registrar = Registrar(found)
    for visible, thermal in views:
        pair = registrar(visible, thermal)
        edges = [edge_directions(np.asarray(image, np.uint8)) for image in (pair.visible, pair.thermal)]
        for left, top in corners:
            here = slice(top, top + side), slice(left, left + side)
            weight = shape if pair.coverage is None else shape * pair.coverage[here]
            totals[left, top] += correlation(edges[0][here], edges[1][here], weight)
    peaks = [(corner, peak_of(total, reach)) for corner, total in totals.items()]
    good = [(corner, peak) for corner, peak in peaks if peak.confidence >= BLOCK_CONFIDENT]
    places = np.array([corner for corner, _ in good], np.float64).reshape(-1, 2) + (side - 1) / 2
    shifts = np.array([(peak.x, peak.y) for _, peak in good], np.float64).reshape(-1, 2)
    return places, shifts


FITS: dict[str, Callable[[Floats, Floats, float], npt.NDArray[Any] | None]] = {
    'shift': lambda places, sources, tolerance: _translation(*np.median(sources - places, axis=0)),
    'similarity': lambda places, sources, tolerance: cv2.estimateAffinePartial2D(
        places, sources, ransacReprojThreshold=tolerance
    )[0],
    'affine': lambda places, sources, tolerance: cv2.estimateAffine2D(places, sources, ransacReprojThreshold=tolerance)[
        0
    ],
    'homography': lambda places, sources, tolerance: cv2.findHomography(places, sources, cv2.RANSAC, tolerance)[0],
}


def _square(matrix: npt.NDArray[Any] | None) -> Floats | None:
    if matrix is None:
        return None
    return np.asarray(np.vstack([matrix, (0, 0, 1)]) if len(matrix) == 2 else matrix, np.float64)


def _displacements(start: Registration, found: Registration, places: Floats, work: Size) -> Floats:
    """By how many pixels (N, 2) ``start`` misplaces what ``found`` puts at ``places`` (N, 2); ``work`` is the size."""
    if found.method == 'homography':
        assert start.thermal_H_visible and found.thermal_H_visible and found.visible_size
        enlarge = _scaling(work, found.visible_size)
        back = np.linalg.inv(np.array(start.thermal_H_visible) @ enlarge) @ np.array(found.thermal_H_visible) @ enlarge
        misplaced = cv2.perspectiveTransform(places[None], back)[0]
        return np.asarray(places - misplaced, np.float64)
    assert found.thermal
    native = found.thermal.camera.width, found.thermal.camera.height
    view = (np.empty(work[::-1], np.uint8), np.empty(native[::-1], np.uint8))
    moved = np.array(found.thermal_shift) - start.thermal_shift
    return np.tile(-np.linalg.inv(_slope(found, view)) @ moved, (len(places), 1))
