"""The ground in a depth map, and what the height of the camera above it says about depth.

In the pinhole camera the inverse depth of a plane n . p = h is linear in the ray: 1 / z = n . ray / h. So the ground is
found in an estimate by RANSAC (Fischler, Bolles 1981) on inverse depth, and its own height above it is compared with
the one that is known.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.rig.references import Depth, References, Values

Doubles = npt.NDArray[np.float64]

# Pixels that are looked at, across the image.
COLUMNS = 96
ROUNDS = 200
VOTERS = 4
# Relative error of depth up to which a pixel lies on the plane.
TOLERANCE = 0.08
# Cosine of the largest angle between the ground's normal and the camera's vertical: 35 degrees of pitch and roll.
LEAST_UPRIGHT = 0.82
# Banks and walls beside a road are planes, too: the pixels of a plane count by this power of its normal's cosine.
UPRIGHTNESS = 8
# Part of the lower half of the image that must be ground.
SMALLEST_PART = 0.25
# Log height by which left and right half, or near and far, may differ: more is not one plane.
LARGEST_DISAGREEMENT = 0.2
# Log scale that the height is not sure of, for planes in an estimate are not quite flat: so much is left as it is.
UNSURE = 0.05
# Beyond this many camera heights slopes matter more than the height.
FARTHEST_HEIGHTS = 12.0


@dataclass(frozen=True)
class Ground:
    """The ground of an estimate.

    Attributes:
        normal: (3,) unit vector in the optical frame that points down.
        height: of the camera above it, in metres of the estimate.
        rows, columns: (N,) pixels on it.
    """

    normal: Values
    height: float
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]


def find_ground(depth: Depth, directions: Values) -> Ground:
    """The plane that most of the lower half of the image lies on.

    Args:
        depth: (H, W) metres.
        directions: (H, W, 3) rays with z = 1 in the optical frame (y down).

    Raises:
        InputError: no ground is in view, or what looks like it is not one plane.
    """
    height, width = depth.shape
    step = max(1, width // COLUMNS)
    rows, columns = (axis.ravel() for axis in np.mgrid[height // 2 : height : step, 0:width:step])
    rays, near = directions[rows, columns].astype(np.float64), depth[rows, columns].astype(np.float64)
    usable = np.isfinite(rays).all(axis=1) & np.isfinite(near) & (near > 0)
    rows, columns, rays, near = rows[usable], columns[usable], rays[usable], near[usable]
    plane = _best_plane(rays, 1.0 / near)
    on_it = np.abs((rays @ plane) * near - 1) < TOLERANCE
    if on_it.sum() < max(3, SMALLEST_PART * usable.size):
        raise InputError('camera_height: no ground in view')
    for _ in range(3):
        plane = _plane_through(rays[on_it], near[on_it])
        on_it = np.abs((rays @ plane) * near - 1) < TOLERANCE
    own_height = 1.0 / float(np.linalg.norm(plane))
    _check_halves(rays[on_it], near[on_it], rows[on_it], columns[on_it])
    return Ground((plane * own_height).astype(np.float32), own_height, rows[on_it], columns[on_it])


def _plane_through(rays: Doubles, depth: Doubles) -> Doubles:
    """The plane (3,), n / h, that fits depth (N,) along rays (N, 3) best in relative error."""
    points = rays * depth[:, None]
    squares = points.T @ points
    # Points on one line have many planes; this takes the least.
    return np.asarray(np.linalg.solve(squares + 1e-12 * np.trace(squares) * np.eye(3), points.sum(axis=0)))


def _check_halves(rays: Doubles, depth: Doubles, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> None:
    """Raise InputError where halves of the ground, left and right or near and far, are planes of different heights."""
    for place in (rows, columns):
        first = place < np.median(place)
        heights = [
            1.0 / np.linalg.norm(_plane_through(rays[half], depth[half])) for half in (first, ~first) if half.sum() >= 3
        ]
        if len(heights) < 2 or abs(np.log(heights[0] / heights[1])) > LARGEST_DISAGREEMENT:
            raise InputError('camera_height: what looks like ground is not one plane')


def _best_plane(rays: Doubles, inverse: Doubles) -> Doubles:
    """The upright plane (3,), n / h, that most rays agree with; zeros if there is none."""
    if len(rays) < 3:
        return np.zeros(3)
    # The same image gives the same plane.
    random = np.random.default_rng(0)
    triples = random.integers(0, len(rays), (ROUNDS, 3))
    matrices = rays[triples]
    solvable = np.abs(np.linalg.det(matrices)) > 1e-6
    planes = np.linalg.solve(matrices[solvable], inverse[triples][solvable][..., None])[..., 0]
    cosine = planes[:, 1] / np.maximum(np.linalg.norm(planes, axis=1), 1e-12)
    planes, cosine = planes[cosine > LEAST_UPRIGHT], cosine[cosine > LEAST_UPRIGHT]
    # To choose one, every few rays are enough.
    scaled = (rays / inverse[:, None])[::VOTERS].astype(np.float32)
    votes = (np.abs(planes.astype(np.float32) @ scaled.T - 1) < TOLERANCE).sum(axis=1)
    score = votes * cosine**UPRIGHTNESS
    return planes[np.argmax(score)] if len(score) else np.zeros(3)


def ground_references(depth: Depth, directions: Values, camera_height: float) -> References:
    """What depth is on the ground of an estimate, for a camera ``camera_height`` metres above it.

    Args:
        depth: (H, W) metres.
        directions: as for :func:`find_ground`.
        camera_height: metres, above 0.

    Raises:
        InputError: as :func:`find_ground`.
    """
    ground = find_ground(depth, directions)
    fall = directions[ground.rows, ground.columns] @ ground.normal
    kept = fall > 1 / FARTHEST_HEIGHTS
    height, width = depth.shape
    return References(
        ground.columns[kept].astype(np.float32),
        ground.rows[kept].astype(np.float32),
        (camera_height / fall[kept]).astype(np.float32),
        'camera height',
        width,
        height,
        unsure=UNSURE,
    )


def height_above(ground_frame: str, ground_T_camera: npt.ArrayLike) -> float:  # noqa: N803 (frames' usual notation)
    """Metres of a camera above the ground, z = 0 of a frame, by the transform (4, 4) from the camera to it.

    Raises:
        InputError: it is not above.
    """
    height = float(np.asarray(ground_T_camera)[2, 3])
    if not height > 0:
        raise InputError(f'ground_frame: the camera is {height:.2f} m above {ground_frame}; name a frame on the ground')
    return height
