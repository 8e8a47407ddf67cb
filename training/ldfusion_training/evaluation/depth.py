"""Depth maps of several methods against truth, measured side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_models.errors import InputError, naming
from ldfusion_models.shown import in_markdown
from ldfusion_training.data.depth import FLOAT_ENDINGS, Depth, read_camera, read_depth
from ldfusion_training.data.pairs import Image8, images_by_name
from ldfusion_training.evaluation.depth_metrics import (
    TITLES,
    DepthMetrics,
    DepthRange,
    evaluate_depth,
    ground_plane_depth,
    mean_depth_map,
    mean_depth_metrics,
    relative_error,
)
from ldfusion_training.report.pictures import DepthScale, Row, colour_depth, contact_sheet
from ldfusion_training.report.tables import markdown_table, require_distinct

MAP_WIDTH = 640
# Relative error at which the error map's colours end.
MAP_LIMIT = 0.5
RESULT_FOLDER = 'depth'


@dataclass(frozen=True)
class DepthFolder:
    """Depth files (16-bit images, or floats in ``FLOAT_ENDINGS``) by name without ending."""

    files: Mapping[str, Path]
    units_per_metre: float

    def read(self, name: str) -> Depth:
        """Depth (H, W) in metres; raises InputError as ``read_depth``."""
        return read_depth(self.files[name], self.units_per_metre)


@dataclass(frozen=True)
class DepthMethod:
    """A name, and the depth that the method made for a named image of a given (height, width)."""

    name: str
    depth: Callable[[str, tuple[int, int]], Depth]


@dataclass(frozen=True)
class DepthScore:
    """One method's measures by image."""

    name: str
    images: dict[str, DepthMetrics]


def open_depth_folder(folder: Path, units_per_metre: float) -> DepthFolder:
    """The depth files of a folder.

    Raises:
        InputError: no such folder, or no depth in it.
    """
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    floats = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in FLOAT_ENDINGS}
    files = images_by_name(folder) | floats
    if not files:
        raise InputError(f'{folder}: holds no depth (16-bit images, 32-bit TIFF, .npz or .npy arrays)')
    return DepthFolder(files, units_per_metre)


def without(folder: DepthFolder, names: Sequence[str]) -> DepthFolder:
    """The folder less the named files; raises InputError if none is left."""
    left = {name: path for name, path in folder.files.items() if name not in names}
    if not left:
        raise InputError('no truth is left for the mean depth map; name the images to measure with --only')
    return DepthFolder(left, folder.units_per_metre)


def folder_method(folder: Path, units_per_metre: float, names: Sequence[str]) -> DepthMethod:
    """The predictions in a folder, named after it (or its parent, if it is called ``depth``).

    Raises:
        InputError: the folder lacks the depth of a name.
    """
    opened = open_depth_folder(folder, units_per_metre)
    missing = [name for name in names if name not in opened.files]
    if missing:
        raise InputError(f'{folder}: no predicted depth {missing[0]} ({len(missing)} of {len(names)} missing)')
    resolved = folder.resolve()
    name = resolved.parent.name if resolved.name == RESULT_FOLDER else resolved.name
    return DepthMethod(name, lambda image, size: opened.read(image))


def ground_plane_method(camera: Path, height: float, wall: float) -> DepthMethod:
    """Flat ground under a level camera at ``height`` metres, and a wall ``wall`` metres ahead.

    Args:
        camera: camera file for all images, or a folder with ``NAME.json`` of each.
    """

    def depth(name: str, size: tuple[int, int]) -> Depth:
        intrinsics = read_camera(camera / f'{name}.json' if camera.is_dir() else camera)
        return ground_plane_depth(intrinsics.scaled(size[1], size[0]), height, wall)

    return DepthMethod('ground plane', depth)


def mean_map_method(truth: DepthFolder) -> DepthMethod:
    """The mean depth map of other images' truth."""
    maps = [truth.read(name) for name in truth.files]
    by_size: dict[tuple[int, int], Depth] = {}

    def depth(name: str, size: tuple[int, int]) -> Depth:
        if size not in by_size:
            by_size[size] = mean_depth_map(maps, size[1], size[0])
        return by_size[size]

    return DepthMethod('mean depth map', depth)


def score_methods(
    truth: DepthFolder, names: Sequence[str], methods: Sequence[DepthMethod], limits: DepthRange, median_scaling: bool
) -> list[DepthScore]:
    """Measure each method on each named image.

    Raises:
        InputError: two methods of one name, unreadable files, two sizes, or no depth to compare.
    """
    called = [method.name for method in methods]
    require_distinct(called)
    scores: dict[str, dict[str, DepthMetrics]] = {name: {} for name in called}
    for name in names:
        known = truth.read(name)
        for method in methods:
            with naming(f'{method.name}, {name}'):
                predicted = method.depth(name, known.shape)
                scores[method.name][name] = evaluate_depth(predicted, known, limits, median_scaling)
    return [DepthScore(name, images) for name, images in scores.items()]


def report(scores: Sequence[DepthScore], per_image: bool = False) -> str:
    """The Markdown table of means, one row a method; with ``per_image`` also a table for each method."""
    rows = [_row(score.name, mean_depth_metrics(list(score.images.values()))) for score in scores]
    tables = [markdown_table(['method', *TITLES.values()], rows)]
    if per_image:
        for score in scores:
            rows = [_row(name, metrics) for name, metrics in score.images.items()]
            tables.append(f'### {in_markdown(score.name)}\n\n{markdown_table(["image", *TITLES.values()], rows)}')
    return '\n\n'.join(tables)


def as_json(scores: Sequence[DepthScore]) -> dict[str, Any]:
    """Means and per-image values by method, ready for JSON."""
    return {
        score.name: {
            'mean': _named(mean_depth_metrics(list(score.images.values()))),
            'images': {name: _named(metrics) for name, metrics in score.images.items()},
        }
        for score in scores
    }


def error_sheet(truth: DepthFolder, name: str, methods: Sequence[DepthMethod]) -> Image8:
    """Truth above, then each method's depth beside its error: white right, red too far, blue too near."""
    known = truth.read(name)
    predictions = [method.depth(name, known.shape) for method in methods]
    scale = DepthScale.covering([known, *predictions])
    rows = [Row('truth', [colour_depth(_thickened(known), scale)])]
    for method, depth in zip(methods, predictions, strict=True):
        error = colour_error(_thickened(relative_error(depth, known)))
        rows.append(
            Row(f'{method.name}: depth, relative error up to {MAP_LIMIT:.0%}', [colour_depth(depth, scale), error])
        )
    cell = (MAP_WIDTH, round(MAP_WIDTH * known.shape[0] / known.shape[1]))
    return contact_sheet([name, ''], rows, cell)


def colour_error(error: Depth) -> Image8:
    """Relative error (H, W) in colours: white right, red too far, blue too near, up to ``MAP_LIMIT``; black unknown."""
    part = np.clip(np.nan_to_num(error) / MAP_LIMIT, -1, 1)[..., None]
    white, red, blue = (np.array(colour, np.float32) for colour in ((255, 255, 255), (200, 20, 20), (20, 60, 200)))
    colours = white + np.abs(part) * (np.where(part > 0, red, blue) - white)
    colours[~np.isfinite(error)] = 0
    return np.asarray(colours, np.uint8)


def typical_ratio(truth: DepthFolder, name: str, method: DepthMethod) -> float:
    """Median of prediction over truth in one image; near 1 if both are in the unit that they are read in."""
    known = truth.read(name)
    return 1 + float(np.nanmedian(relative_error(method.depth(name, known.shape), known)))


def _thickened(depth: Depth) -> Depth:
    """Sparse points (fewer than half of the pixels known) grown to 3 x 3 pixels, so that people see them."""
    known = np.isfinite(depth)
    if known.mean() > 0.5:
        return depth
    grown: Depth = depth.copy()
    for row in (-1, 0, 1):
        for column in (-1, 0, 1):
            moved = np.roll(depth, (row, column), (0, 1))
            grown = np.where(np.isfinite(grown), grown, moved)
    return grown


def _row(name: str, metrics: DepthMetrics) -> list[str | float]:
    return [name, *asdict(metrics).values()]


def _named(metrics: DepthMetrics) -> dict[str, float]:
    return dict(zip(TITLES.values(), asdict(metrics).values(), strict=True))
