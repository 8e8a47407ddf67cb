"""Several methods' fused images of the same pairs, measured side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.data.pairs import Image8, Pair, PairSource, images_by_name
from ldfusion_training.evaluation.baselines import BASELINES, SOURCES
from ldfusion_training.metrics import (
    TITLES,
    FusionMetrics,
    chroma_error,
    evaluate_fusion,
    mean_metrics,
    to_grey,
)
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
class ImageScore:
    """Measures of one fused image; ``chroma`` is the chroma error in 8-bit steps (see ``metrics.chroma_error``)."""

    metrics: FusionMetrics
    chroma: float

    def values(self) -> list[float]:
        """The columns of the table."""
        return [*asdict(self.metrics).values(), self.chroma]


@dataclass(frozen=True)
class MethodScore:
    """One method's measures by pair."""

    name: str
    images: dict[str, ImageScore]

    def mean(self) -> ImageScore:
        """The mean over all pairs."""
        scores = list(self.images.values())
        return ImageScore(
            mean_metrics([score.metrics for score in scores]), sum(score.chroma for score in scores) / len(scores)
        )


def baseline_methods() -> list[Method]:
    """The baselines as methods; their images are grey."""
    return [_baseline_method(name, fuse) for name, fuse in BASELINES.items()]


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


def score_methods(pairs: Iterable[PairSource], methods: Sequence[Method]) -> list[MethodScore]:
    """Measure each method on each pair.

    Raises:
        InputError: two methods of one name, unreadable images, or images of other sizes than their sources.
    """
    names = [method.name for method in methods]
    require_distinct(names)
    scores: dict[str, dict[str, ImageScore]] = {name: {} for name in names}
    for source in pairs:
        pair = source.read()
        for method in methods:
            scores[method.name][source.name] = _score(pair, method.fused(source.name, pair))
    return [MethodScore(name, images) for name, images in scores.items()]


def report(scores: Sequence[MethodScore], per_image: bool = False) -> str:
    """The Markdown table of means, one row a method; with ``per_image`` also a table for each pair."""
    header = ['method', *TITLES.values(), CHROMA_TITLE]
    tables = [markdown_table(header, [_row(score.name, score.mean()) for score in scores])]
    if per_image:
        for name in scores[0].images:
            rows = [_row(score.name, score.images[name]) for score in scores]
            tables.append(f'### {name}\n\n{markdown_table(header, rows)}')
    return '\n\n'.join(tables)


def as_json(scores: Sequence[MethodScore]) -> dict[str, Any]:
    """Means and per-image values by method, ready for JSON."""
    return {
        score.name: {
            'mean': _named(score.mean()),
            'images': {name: _named(image) for name, image in score.images.items()},
        }
        for score in scores
    }


def sheet(pairs: Sequence[PairSource], methods: Sequence[Method]) -> Image8:
    """A contact sheet: one row a pair, visible, thermal, then each method that is not one of these two."""
    shown = [method for method in methods if method.name not in SOURCES]
    rows = []
    for source in pairs:
        pair = source.read()
        fused = [method.fused(source.name, pair) for method in shown]
        rows.append(Row(source.name, [pair.visible, pair.thermal, *fused]))
    return contact_sheet(['visible', 'thermal', *(method.name for method in shown)], rows, SHEET_CELL)


def _baseline_method(name: str, fuse: Callable[[Image8, Image8], Image8]) -> Method:
    return Method(name, lambda _, pair: fuse(to_grey(pair.visible), pair.thermal))


def _score(pair: Pair, fused: Image8) -> ImageScore:
    metrics = evaluate_fusion(to_grey(pair.visible), pair.thermal, to_grey(fused))
    return ImageScore(metrics, chroma_error(pair.visible, pair.thermal, as_rgb8(fused)))


def _row(name: str, score: ImageScore) -> list[str | float]:
    return [name, *score.values()]


def _named(score: ImageScore) -> dict[str, float]:
    return dict(zip([*TITLES.values(), CHROMA_TITLE], score.values(), strict=True))
