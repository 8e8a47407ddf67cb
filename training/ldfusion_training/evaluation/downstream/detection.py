"""What a detector finds in visible, thermal and fused images of labelled pairs, and how much of the things is white."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ldfusion_models.camera.images import as_rgb8
from ldfusion_models.errors import InputError, naming
from ldfusion_training.data.pairs import Image8, Pair
from ldfusion_training.evaluation.baselines import BASELINES
from ldfusion_training.evaluation.downstream.average_precision import (
    ImageMatches,
    Values,
    average_precision,
    bootstrap,
    match_boxes,
    recall,
)
from ldfusion_training.evaluation.fusion import Method
from ldfusion_training.language.real_pairs import IGNORE, LabelledPair, SeenPair
from ldfusion_training.language.teacher_labels import Detector, TaughtBox, suppress
from ldfusion_training.metrics import to_grey
from ldfusion_training.report.pictures import Row, contact_sheet
from ldfusion_training.report.tables import markdown_table, require_distinct

# Precision needs the unsure ones too; a robot acts on the sure ones.
LEAST_SCORE, SURE_SCORE = 0.01, 0.35
# Boxes of one class that overlap more are one.
SAME = 0.5
WHITE = 250
CELL = (360, 270)
HIT, FALSE, MISSED = (0, 255, 0), (255, 60, 60), (255, 220, 0)
INPUTS = ('visible', 'thermal', 'average')


@dataclass(frozen=True)
class Found:
    """One method's image of one pair: the detections, and per class the share of pixels of things that are white."""

    boxes: list[TaughtBox]
    white: Mapping[str, float]


def colour_baselines() -> list[Method]:
    """The baselines, each colour of the visible image fused with the thermal one."""

    def method(rule: Callable[[Image8, Image8], Image8]) -> Callable[[str, Pair], Image8]:
        return lambda _, pair: np.stack([rule(pair.visible[..., i], pair.thermal) for i in range(3)], -1)

    return [Method(name, method(rule)) for name, rule in BASELINES.items()]


def detect(pairs: Sequence[LabelledPair], methods: Sequence[Method], detector: Detector) -> dict[str, list[Found]]:
    """Each method's image of each pair, looked at; raises InputError for unreadable images."""
    require_distinct([method.name for method in methods])
    found: dict[str, list[Found]] = {method.name: [] for method in methods}
    for labelled in pairs:
        with naming(labelled.seen.name):
            pair = labelled.source.read()
            if pair.thermal.shape[::-1] != labelled.seen.size:
                raise InputError(f'images of {pair.thermal.shape[::-1]} pixels, boxes for {labelled.seen.size}')
            for method in methods:
                image = as_rgb8(method.fused(labelled.source.name, pair))
                boxes = suppress(detector.detect(image, LEAST_SCORE), SAME)
                found[method.name].append(Found(boxes, saturation(to_grey(image), labelled.seen)))
    return found


def saturation(grey: Image8, seen: SeenPair) -> dict[str, float]:
    """By class the share of pixels in its boxes that are at 250 or more; grey is (H, W)."""
    shares: dict[str, list[float]] = {}
    for thing in seen.objects:
        left, top, right, bottom = thing.box
        shares.setdefault(thing.name, []).append(float((grey[top:bottom, left:right] >= WHITE).mean()))
    return {name: float(np.mean(values)) for name, values in shares.items()}


def matches(seen: SeenPair, boxes: Sequence[TaughtBox], name: str) -> ImageMatches:
    """The detections of one class against what is there."""
    own = [box for box in boxes if box.name == name]
    truth, difficult = (
        _array([thing.box for thing in seen.objects if thing.name == name and thing.difficult == hard])
        for hard in (False, True)
    )
    ignored = _array([thing.box for thing in seen.objects if thing.name == IGNORE])
    return match_boxes(
        _array([box.box for box in own]), np.array([box.score for box in own]), truth, difficult, ignored
    )


def groups(pairs: Sequence[LabelledPair]) -> Iterator[tuple[str, list[int]]]:
    """All pairs, those of each light, and those of each data set, by number."""
    yield 'all', list(range(len(pairs)))
    lights = [pair.seen.light for pair in pairs]
    sets = [pair.seen.set.split('/')[0] for pair in pairs]
    for values in (lights, sets):
        for chosen in dict.fromkeys(values):
            yield chosen, [number for number, value in enumerate(values) if value == chosen]


def measure(pairs: Sequence[LabelledPair], found: Mapping[str, list[Found]], names: Sequence[str]) -> dict[str, Any]:
    """By group, class and method: AP50 and recall with intervals, the AP50 lost or won against the best input, white.

    The best input is the one of visible, thermal and average with the highest AP50 there.
    """
    content: dict[str, Any] = {}
    for group, numbers in groups(pairs):
        for name in names:
            matched = {
                method: [matches(pairs[number].seen, results[number].boxes, name) for number in numbers]
                for method, results in found.items()
            }
            things = sum(image.things for image in next(iter(matched.values())))
            if not things:
                continue
            ones = np.ones(len(numbers))
            best = max(INPUTS, key=lambda method: average_precision(matched[method], ones))
            rows = {
                method: _row(images, matched[best])
                | {'white': _mean_white([found[method][number] for number in numbers], name)}
                for method, images in matched.items()
            }
            content.setdefault(group, {})[name] = {'things': things, 'best_input': best, 'methods': rows}
    return content


def _row(images: list[ImageMatches], best: list[ImageMatches]) -> dict[str, Any]:
    def difference(weights: Values) -> float:
        return average_precision(images, weights) - average_precision(best, weights)

    ones, count = np.ones(len(images)), len(images)
    return {
        'ap50': average_precision(images, ones),
        'ap50_interval': bootstrap(count, lambda weights: average_precision(images, weights)),
        'recall': recall(images, ones, SURE_SCORE),
        'recall_interval': bootstrap(count, lambda weights: recall(images, weights, SURE_SCORE)),
        'against_best_input': difference(ones),
        'against_best_input_interval': bootstrap(count, difference),
    }


def _mean_white(results: Sequence[Found], name: str) -> float:
    return float(np.mean([each.white[name] for each in results if name in each.white]))


def report(content: Mapping[str, Any]) -> str:
    """A Markdown table for each group and class."""
    header = ['method', 'AP50', 'against the best input', f'recall at {SURE_SCORE}', f'at {WHITE} and more']
    parts = []
    for group, classes in content.items():
        for name, measured in classes.items():
            rows = [
                [
                    method,
                    _with_interval(row, 'ap50'),
                    '-' if method == measured['best_input'] else _with_interval(row, 'against_best_input'),
                    _with_interval(row, 'recall'),
                    f'{100 * row["white"]:.1f} %',
                ]
                for method, row in measured['methods'].items()
            ]
            title = f'### {group}: {name} ({measured["things"]}; best input: {measured["best_input"]})'
            parts += [title, markdown_table(header, rows)]
    return '\n\n'.join(parts)


def sheet(
    pairs: Sequence[LabelledPair],
    methods: Sequence[Method],
    found: Mapping[str, list[Found]],
    names: Sequence[str],
    every: int,
) -> Image8:
    """Every so many pairs with what is found at 0.35: hits green, false ones red, what is missed yellow."""
    rows = []
    for number in range(0, len(pairs), every):
        pair = pairs[number].source.read()
        pictures = [
            _drawn(
                as_rgb8(method.fused(pairs[number].source.name, pair)),
                pairs[number].seen,
                found[method.name][number].boxes,
                names,
            )
            for method in methods
        ]
        rows.append(Row(f'{pairs[number].seen.set} {pairs[number].seen.name}, {pairs[number].seen.light}', pictures))
    return contact_sheet([method.name for method in methods], rows, CELL)


def _drawn(image: Image8, seen: SeenPair, boxes: Sequence[TaughtBox], names: Sequence[str]) -> Image8:
    canvas = np.ascontiguousarray(image)
    for name in names:
        for box in (box for box in boxes if box.name == name and box.score >= SURE_SCORE):
            alone = matches(seen, [box], name)
            if alone.hits.size:
                _rectangle(canvas, box.box, HIT if alone.hits[0] else FALSE)
        sure = _array([box.box for box in boxes if box.name == name and box.score >= SURE_SCORE])
        for thing in seen.objects:
            if thing.name == name and not thing.difficult and not matches_any(sure, thing.box):
                _rectangle(canvas, thing.box, MISSED)
    return canvas


def matches_any(boxes: Values, box: tuple[float, ...]) -> bool:
    """Whether one of the boxes (N, 4) overlaps ``box`` by a half."""
    return bool(match_boxes(boxes, np.ones(len(boxes)), _array([box]), _array([]), _array([])).hits.any())


def _rectangle(canvas: Image8, box: tuple[float, ...], colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = (round(value) for value in box)
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, max(1, canvas.shape[1] // 300))


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f'{name}_interval']
    return f'{row[name]:.3f} ({low:.3f} to {high:.3f})'


def _array(boxes: Sequence[tuple[float, ...]]) -> Values:
    return np.array(boxes, float).reshape(-1, 4)
