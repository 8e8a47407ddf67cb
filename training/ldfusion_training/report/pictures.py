"""Pictures for people: depth in colours, point clouds from the side, sheets with captions. Pure functions on arrays."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.lens import Intrinsics, without_flying_points

RGB = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
BACKGROUND = (24, 24, 28)
UNKNOWN = (128, 128, 128)
TEXT = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LINE_HEIGHT = 22
LARGEST_STEP = 0.1
GRID = (70, 70, 78)
GRID_METRES = 5
CEILING_METRES = 2.5
# The side view turns around what is rather near: the sky would draw the eye away.
PIVOT_PERCENTILE = 40
EYE_DEGREES = 20.0, 15.0


@dataclass(frozen=True)
class DepthScale:
    """The depths, in metres, of the first and the last colour; colours go by the logarithm of depth."""

    near: float
    far: float

    @classmethod
    def covering(cls, depths: Iterable[Floats]) -> 'DepthScale':
        """The scale of all but the outermost percent of the known depths; 1 m to 100 m if there are none."""
        known = [depth[np.isfinite(depth) & (depth > 0)] for depth in depths]
        values = np.concatenate(known) if known else np.empty(0, np.float32)
        if values.size == 0:
            return cls(1.0, 100.0)
        near, far = np.percentile(values, (1, 99)).tolist()
        return cls(near, max(far, 1.1 * near))

    def position(self, depth: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where on the scale a depth is: 0 near, 1 far."""
        return np.log(np.asarray(depth, np.float64) / self.near) / math.log(self.far / self.near)

    def ticks(self) -> list[float]:
        """Round depths on the scale: 1, 2 or 5 times a power of ten; its ends where fewer than two are on it."""
        decades = range(math.floor(math.log10(self.near)), math.ceil(math.log10(self.far)) + 1)
        steps = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        inside = [step for step in steps if self.near <= step <= self.far]
        return inside if len(inside) > 1 else [self.near, self.far]


def colour_depth(depth: Floats, scale: DepthScale) -> RGB:
    """Depth (H, W) in metres as colours (H, W, 3), near warm and far cold; NaN, infinite and zero are grey."""
    known = np.isfinite(depth) & (depth > 0)
    position = np.clip(scale.position(np.where(known, depth, scale.near)), 0, 1)
    colours = _colour_map(position)
    colours[~known] = UNKNOWN
    return colours


def depth_legend(scale: DepthScale, height: int, width: int = 64) -> RGB:
    """A bar (height, width, 3) of the scale's colours, near at the bottom, with depths in metres."""
    legend = _canvas(height, width)
    position = np.linspace(1, 0, height)
    legend[:, :14] = _colour_map(position)[:, None]
    for tick in scale.ticks():
        row = round((1 - float(scale.position(tick))) * (height - 1))
        cv2.line(legend, (14, row), (18, row), TEXT, 1)
        baseline = min(max(row + 4, 10), height - 3)
        cv2.putText(legend, f'{tick:.3g} m', (21, baseline), FONT, 0.38, TEXT, 1, cv2.LINE_AA)
    return legend


def orbit(pivot: npt.NDArray[np.float64], right_degrees: float, up_degrees: float, distance: float) -> npt.NDArray[Any]:
    """The pose (4, 4) that takes points of an optical frame into the view of an eye that looks at ``pivot``.

    Args:
        pivot: (3,) in the optical frame (x right, y down, z forward).
        right_degrees, up_degrees: how far the eye has gone around the pivot from straight behind it.
        distance: of the eye from the pivot, in metres.
    """
    yaw, pitch = math.radians(right_degrees), math.radians(up_degrees)
    around_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    around_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    pose = np.eye(4)
    pose[:3, :3] = around_x @ around_y
    pose[:3, 3] = np.array([0, 0, distance]) - pose[:3, :3] @ pivot
    return pose


def render_points(points: Floats, colours: RGB, view: npt.NDArray[Any], camera: Intrinsics, splat: int = 2) -> RGB:
    """Points seen by a pinhole camera, nearer ones before farther ones.

    Args:
        points: (..., 3) in metres; those with NaN are left out.
        colours: (..., 3) RGB of each.
        view: (4, 4), takes the points into the camera's optical frame.
        splat: pixels that each point is wide and high.
    """
    seen = points.reshape(-1, 3).astype(np.float64) @ view[:3, :3].T + view[:3, 3]
    ahead = np.isfinite(seen).all(axis=1) & (seen[:, 2] > 0.05)
    seen, shown = seen[ahead], colours.reshape(-1, 3)[ahead]
    column = np.round(camera.fx * seen[:, 0] / seen[:, 2] + camera.cx)
    row = np.round(camera.fy * seen[:, 1] / seen[:, 2] + camera.cy)
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    # Written from far to near, so that the nearest point of a pixel stays.
    order = np.flatnonzero(inside)[np.argsort(-seen[inside, 2], kind='stable')]
    column, row = column[order].astype(int), row[order].astype(int)
    offsets = np.stack(np.meshgrid(range(splat), range(splat)), axis=-1).reshape(-1, 2)
    picture = _canvas(camera.height + splat - 1, camera.width + splat - 1)
    rows = (row[:, None] + offsets[:, 1]).reshape(-1)
    columns = (column[:, None] + offsets[:, 0]).reshape(-1)
    picture[rows, columns] = np.repeat(shown[order], len(offsets), axis=0)
    return picture[: camera.height, : camera.width]


def side_view(points: Floats, colours: RGB, width: int, height: int) -> RGB:
    """An organised cloud (H, W, 3) of an optical frame, seen from the right and above.

    Points that hang between a near and a far surface, as estimated depth has them at outlines, are left out.
    """
    depth = without_flying_points(points[..., 2], LARGEST_STEP)
    surfaces = np.where(np.isfinite(depth)[..., None], points, np.float32('nan'))
    known = surfaces[np.isfinite(surfaces).all(axis=2)]
    if len(known) == 0:
        return _canvas(height, width)
    pivot = np.array([np.median(known[:, 0]), np.median(known[:, 1]), np.percentile(known[:, 2], PIVOT_PERCENTILE)])
    camera = Intrinsics.from_field_of_view(width, height, 60.0)
    return render_points(surfaces, colours, orbit(pivot, *EYE_DEGREES, 1.4 * float(pivot[2])), camera)


def view_from_above(points: Floats, colours: RGB, width: int, height: int, farthest: float) -> RGB:
    """A map of a cloud of an optical frame: ahead is up, the camera in the middle of the lower edge, a line every 5 m.

    Args:
        points: (..., 3) in metres; those with NaN are left out.
        colours: (..., 3) RGB of each.
        width, height: of the picture.
        farthest: depth in metres at the upper edge.

    What is higher than ``CEILING_METRES`` above the camera is left out: it would hide what is below.
    """
    known = points.reshape(-1, 3)
    shown = colours.reshape(-1, 3)
    kept = np.isfinite(known).all(axis=1) & (known[:, 1] > -CEILING_METRES)
    known, shown = known[kept], shown[kept]
    scale = height / farthest
    picture = _canvas(height, width)
    for metres in range(0, math.ceil(farthest), GRID_METRES):
        line = height - 1 - round(metres * scale)
        cv2.line(picture, (0, line), (width, line), GRID, 1)
        cv2.putText(picture, f'{metres} m', (3, line - 3), FONT, 0.38, TEXT, 1, cv2.LINE_AA)
    column = np.round(width / 2 + known[:, 0] * scale).astype(int)
    row = height - 1 - np.round(known[:, 2] * scale).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Written from low to high (y points down), as seen from above.
    order = np.flatnonzero(inside)[np.argsort(-known[inside, 1], kind='stable')]
    picture[row[order], column[order]] = shown[order]
    return picture


@dataclass(frozen=True)
class Row:
    """A row of a sheet: a caption and one picture for each column; grey or RGB, 8 bits, of any size."""

    caption: str
    pictures: Sequence[npt.NDArray[np.uint8]]


def contact_sheet(columns: Sequence[str], rows: Sequence[Row], cell: tuple[int, int], legend: RGB | None = None) -> RGB:
    """Rows of pictures under the names of their columns, each in a cell (width, height), its proportions kept.

    ``legend`` is put at the right of each row.
    """
    width, height = cell
    gap = 4
    legend_width = 0 if legend is None else legend.shape[1] + gap
    sheet = _canvas(
        LINE_HEIGHT + len(rows) * (LINE_HEIGHT + height + gap), len(columns) * (width + gap) + gap + legend_width
    )
    for index, name in enumerate(columns):
        _write(sheet, name, gap + index * (width + gap), 0)
    for number, row in enumerate(rows):
        top = LINE_HEIGHT + number * (LINE_HEIGHT + height + gap)
        _write(sheet, row.caption, gap, top, scale=0.42)
        top += LINE_HEIGHT
        for index, picture in enumerate(row.pictures):
            _paste(sheet, fit_into(picture, width, height), gap + index * (width + gap), top)
        if legend is not None:
            _paste(sheet, fit_into(legend, legend.shape[1], height), gap + len(columns) * (width + gap), top)
    return sheet


def fit_into(picture: npt.NDArray[np.uint8], width: int, height: int) -> RGB:
    """A grey or RGB picture scaled into (height, width, 3) with its proportions kept, centred on the background."""
    colour = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    scale = min(width / colour.shape[1], height / colour.shape[0])
    size = max(1, round(colour.shape[1] * scale)), max(1, round(colour.shape[0] * scale))
    scaled = np.asarray(
        cv2.resize(colour, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )
    canvas = _canvas(height, width)
    _paste(canvas, scaled, (width - size[0]) // 2, (height - size[1]) // 2)
    return canvas


def _colour_map(position: npt.NDArray[np.float64]) -> RGB:
    levels = np.round(255 * (1 - position)).astype(np.uint8)
    coloured = cv2.applyColorMap(levels.reshape(-1, 1), cv2.COLORMAP_TURBO)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8).reshape(*position.shape, 3)


def _canvas(height: int, width: int) -> RGB:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _paste(canvas: RGB, picture: RGB, left: int, top: int) -> None:
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture


def _write(canvas: RGB, text: str, left: int, top: int, scale: float = 0.5) -> None:
    cv2.putText(canvas, text, (left + 2, top + LINE_HEIGHT - 7), FONT, scale, TEXT, 1, cv2.LINE_AA)
