"""Several methods' fused images of the same pairs, measured side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_models.shown import in_markdown
from ldfusion_training.data.pairs import Image8, Pair, PairSource, images_by_name
from ldfusion_training.evaluation.baselines import BASELINES, SOURCES
from ldfusion_training.metrics import TITLES, chroma_error, evaluate_fusion, to_grey
from ldfusion_training.report.pictures import Row, contact_sheet
from ldfusion_training.report.tables import markdown_table, require_distinct

CHROMA_TITLE = 'chroma error'
SHEET_CELL = (320, 240)
# The folder that `ldfusion fuse` writes the images into; its parent tells methods apart.
RESULT_FOLDER = 'fused'


@dataclass(frozen=True)
class Method:
    """A name, and the fused image, grey or RGB, that the method made of a named pair."""

    name: str
    fused: Callable[[str, Pair], Image8]


@dataclass(frozen=True)
class MethodScore:
    """One method's measures by pair, each by its title."""

    name: str
    images: dict[str, dict[str, float]]

    def mean(self) -> dict[str, float]:
        """The mean of each measure over all pairs; NaN where one pair has none."""
        rows = list(self.images.values())
        return {title: float(np.mean([row[title] for row in rows])) for title in rows[0]}


def baseline_methods() -> list[Method]:
    """The baselines as methods; their images are grey."""

    def method(name: str) -> Method:
        return Method(name, lambda _, pair: BASELINES[name](to_grey(pair.visible), pair.thermal))

    return [method(name) for name in BASELINES]


def folder_method(folder: Path, pairs: Sequence[PairSource]) -> Method:
    """The results in a folder, named after it (or its parent, if it is called ``fused``).

    Raises:
        InputError: the folder lacks a pair's image.
    """
    images = images_by_name(folder)
    missing = [pair.name for pair in pairs if pair.name not in images]
    if missing:
        raise InputError(f'{folder}: no fused image {missing[0]} ({len(missing)} of {len(pairs)} missing)')
    resolved = folder.resolve()
    name = resolved.parent.name if resolved.name == RESULT_FOLDER else resolved.name

    def fused(pair_name: str, pair: Pair) -> Image8:
        image = as_rgb8(read_image(images[pair_name]))
        if image.shape != pair.visible.shape:
            raise InputError(
                f'{images[pair_name]}: {image.shape[1]}x{image.shape[0]} pixels, its sources have '
                f'{pair.visible.shape[1]}x{pair.visible.shape[0]}'
            )
        return image

    return Method(name, fused)


def folders_in(folder: Path | None) -> list[Path]:
    """The folders in ``folder``, none for None; raises InputError if it holds none."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found = sorted(path for path in folder.iterdir() if path.is_dir())
    if not found:
        raise InputError(f'{folder}: holds no folders of results')
    return found


def score_methods(pairs: Iterable[PairSource], methods: Sequence[Method]) -> list[MethodScore]:
    """Measure each method on each pair.

    Raises:
        InputError: two methods of one name, unreadable images, or images of other sizes than their sources.
    """
    names = [method.name for method in methods]
    require_distinct(names)
    scores: dict[str, dict[str, dict[str, float]]] = {name: {} for name in names}
    for source in pairs:
        pair = source.read()
        for method in methods:
            scores[method.name][source.name] = measures_of(pair, method.fused(source.name, pair))
    return [MethodScore(name, images) for name, images in scores.items()]


def measures_of(pair: Pair, fused: Image8) -> dict[str, float]:
    """All measures of one fused image, grey or RGB, by title; raises InputError for images of several sizes."""
    values = asdict(evaluate_fusion(to_grey(pair.visible), pair.thermal, to_grey(fused)))
    chroma = chroma_error(pair.visible, pair.thermal, as_rgb8(fused))
    return {TITLES[name]: value for name, value in values.items()} | {CHROMA_TITLE: chroma}


def report(scores: Sequence[MethodScore], per_image: bool = False) -> str:
    """The Markdown table of means, one row a method; with ``per_image`` also a table for each pair."""
    header = ['method', *TITLES.values(), CHROMA_TITLE]
    tables = [markdown_table(header, [[score.name, *score.mean().values()] for score in scores])]
    if per_image:
        for name in scores[0].images:
            rows: list[list[str | float]] = [[score.name, *score.images[name].values()] for score in scores]
            tables.append(f'### {in_markdown(name)}\n\n{markdown_table(header, rows)}')
    return '\n\n'.join(tables)


def as_json(scores: Sequence[MethodScore]) -> dict[str, Any]:
    """Means and per-image values by method, ready for JSON."""
    return {score.name: {'mean': score.mean(), 'images': score.images} for score in scores}


def sheet(pairs: Sequence[PairSource], methods: Sequence[Method]) -> Image8:
    """A contact sheet: one row a pair, visible, thermal, then each method that is not one of these two."""
    shown = [method for method in methods if method.name not in SOURCES]
    rows = []
    for source in pairs:
        pair = source.read()
        fused = [method.fused(source.name, pair) for method in shown]
        rows.append(Row(source.name, [pair.visible, pair.thermal, *fused]))
    return contact_sheet(['visible', 'thermal', *(method.name for method in shown)], rows, SHEET_CELL)
