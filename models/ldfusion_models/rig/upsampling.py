"""Results of reduced images at the size of the camera's image, without points in mid-air.

Bilinear depth is right on surfaces and wrong at their edges, where the mean of what is near and what is far is
neither. So depth is interpolated only where it is continuous; at an edge each pixel takes one of the depths around it:
that whose place in the reduced image looks most like the pixel (joint bilateral upsampling, Kopf et al. 2007, but the
best neighbour instead of a mean).
"""

import cv2
import numpy as np
import numpy.typing as npt

# Where 1 / depth bends by more than this part of itself from pixel to pixel, two surfaces meet.
LARGEST_BEND = 0.05
# Grey levels that weigh as much as the distance of one reduced pixel.
LEVELS_PER_PIXEL = 10.0

Colours = npt.NDArray[np.uint8]
Depth = npt.NDArray[np.float32]


def enlarge_fused(visible: Colours, reduced: Colours, fused: Colours) -> Colours:
    """The fused image (H, W, 3) at the size of ``visible``, from that of the ``reduced`` visible image.

    The difference that fusion makes is enlarged and added, so that the visible image's details stay.
    """
    size = visible.shape[1], visible.shape[0]
    difference = cv2.resize(fused.astype(np.int16) - reduced, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(visible + difference, 0, 255), np.uint8)


def enlarge_nearest(depth: Depth, size: tuple[int, int]) -> Depth:
    """``depth`` (h, w) at ``size`` (width, height): each pixel takes the nearest value."""
    return np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def enlarge_guided(depth: Depth, reduced: Colours, guide: Colours) -> Depth:
    """``depth`` (h, w) at the size of ``guide``: smooth on surfaces, and with edges where those of ``guide`` are.

    Args:
        depth: metres, above 0.
        reduced: (h, w, 3), what ``guide`` looks like at the size of ``depth``.
        guide: (H, W, 3).
    """
    height, width = guide.shape[:2]
    # Over an image of a plane, 1 / depth is linear.
    inverse = 1.0 / depth
    is_edge = np.zeros(depth.shape, np.uint8)
    is_edge[:, 1:-1] |= np.abs(np.diff(inverse, 2, axis=1)) > LARGEST_BEND * inverse[:, 1:-1]
    is_edge[1:-1] |= np.abs(np.diff(inverse, 2, axis=0)) > LARGEST_BEND * inverse[1:-1]
    large = 1.0 / np.asarray(cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    # The four values of a bilinear mean are among the nearest value's neighbours.
    is_near_edge = cv2.dilate(is_edge, np.ones((3, 3), np.uint8))
    mask = cv2.resize(is_near_edge, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    rows, columns = np.nonzero(mask)
    large[rows, columns] = _best_neighbours(depth, _luma(reduced), _luma(guide), rows, columns)
    return large


def _best_neighbours(
    depth: Depth, reduced: Depth, guide: Depth, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> Depth:
    """For some pixels of ``guide``: of the nine depths around each, that of the best place by looks and distance."""
    height, width = depth.shape
    # Pixel centres in the coordinates of the reduced image.
    y = (rows.astype(np.float32) + 0.5) * np.float32(height / guide.shape[0]) - 0.5
    x = (columns.astype(np.float32) + 0.5) * np.float32(width / guide.shape[1]) - 0.5
    nearest_y, nearest_x = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    looks = guide[rows, columns]
    best = np.full(len(rows), np.inf, np.float32)
    chosen = np.empty(len(rows), np.float32)
    for step_y in (-1, 0, 1):
        at_y = np.clip(nearest_y + step_y, 0, height - 1)
        for step_x in (-1, 0, 1):
            at = at_y * width + np.clip(nearest_x + step_x, 0, width - 1)
            cost = ((looks - reduced.ravel()[at]) / LEVELS_PER_PIXEL) ** 2
            cost += (nearest_y + step_y - y) ** 2 + (nearest_x + step_x - x) ** 2
            is_better = cost < best
            best[is_better] = cost[is_better]
            chosen[is_better] = depth.ravel()[at[is_better]]
    return chosen


def _luma(colours: Colours) -> Depth:
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.float32)
