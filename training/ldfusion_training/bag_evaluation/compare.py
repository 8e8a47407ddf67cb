"""Two evaluations of the same recordings side by side: what changed, how sure that is, and how it looks."""

import csv
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_models.files import read_image
from ldfusion_training.bag_evaluation.html_page import FrameCard, TimePlot, number, write_page
from ldfusion_training.bag_evaluation.measures import MEASURES
from ldfusion_training.bag_evaluation.run import PICTURES
from ldfusion_training.bag_evaluation.summary import RECORDINGS, TABLE, flat, read_report
from ldfusion_training.report.tables import markdown_table, write_json, write_text

Values = npt.NDArray[np.float64]
PAGE, RESULT, WORDS = 'compare.html', 'compare.json', 'compare.md'
RESAMPLES, SEED = 4000, 0
CONFIDENCE = 95
# Frames with pictures; those come first whose measures differ most.
MOST_FRAMES = 16
PICTURES_BY = ('Qabf', 'VIF')
PLOTS = ('VIF', 'Qabf', 'SSIM', 'Nabf', 'MI', 'SD', 'flicker', 'AbsRel')
# How many times the difference of two images is enlarged, so that it can be seen.
DIFFERENCE_GAIN = 4
VERDICTS = {1: 'better', -1: 'worse', 0: 'no difference'}


@dataclass(frozen=True)
class Difference:
    """How a measure changed from A to B over the frames that both have.

    Attributes:
        measure: its name.
        a, b: means over these frames.
        difference: b - a.
        low, high: confidence interval of the difference at 95 %.
        frames: that both have.
        verdict: B is ``better``, ``worse``, ``no difference`` (the interval holds 0), or ``changed`` where neither is
            better.
    """

    measure: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    frames: int
    verdict: str


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that was written before.

    Attributes:
        name: of its folder.
        folder: of its files.
        report: ``report.json``.
        frames: by recording and stamp: the frame's number and measures.
    """

    name: str
    folder: Path
    report: dict[str, Any]
    frames: dict[tuple[str, int], dict[str, float]]

    @classmethod
    def read(cls, path: Path) -> 'Evaluation':
        """Read the folder that ``ldfusion evaluate bag`` wrote.

        Raises:
            InputError: it is none, or lacks a file.
        """
        folder = path if path.is_dir() else path.parent
        return cls(folder.resolve().name, folder, read_report(path), _read_frames(folder / TABLE))


def compare(a: Evaluation, b: Evaluation) -> list[Difference]:
    """The change of each measure that both have.

    Raises:
        InputError: no frame is in both.
    """
    common = common_frames(a, b)
    found = []
    for measure in MEASURES:
        pairs = np.array([[side.frames[key].get(measure.name, math.nan) for side in (a, b)] for key in common])
        known = pairs[np.isfinite(pairs).all(axis=1)]
        if len(known) == 0:
            continue
        difference = known[:, 1] - known[:, 0]
        low, high = bootstrap_interval(difference)
        mean = float(difference.mean())
        verdict = _verdict(low, high, measure.better)
        a_mean, b_mean = known.mean(axis=0).tolist()
        found.append(Difference(measure.name, a_mean, b_mean, mean, low, high, len(known), verdict))
    return found


def common_frames(a: Evaluation, b: Evaluation) -> list[tuple[str, int]]:
    """Recordings and stamps that both have, in order.

    Raises:
        InputError: there are none.
    """
    common = sorted(a.frames.keys() & b.frames.keys())
    if not common:
        raise InputError(f'{a.folder} and {b.folder}: no frame in common; evaluate the same recordings')
    return common


def bootstrap_interval(values: Values, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Confidence interval of the mean of a series, by the moving-block bootstrap (Künsch 1989), circular.

    Frames of video resemble their neighbours: drawn one by one they would promise more certainty than there is. Blocks
    have the length of the root of the series. NaN for fewer than two values.
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    length = max(1, round(math.sqrt(count)))
    sums = np.cumsum(np.concatenate([[0.0], values, values[: length - 1]]))
    block_means = (sums[length:] - sums[:-length]) / length
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(0, len(block_means), (resamples, -(-count // length)))
    low, high = np.percentile(block_means[drawn].mean(axis=1), (50 - CONFIDENCE / 2, 50 + CONFIDENCE / 2)).tolist()
    return low, high


def write_comparison(output: Path, a: Evaluation, b: Evaluation) -> list[Difference]:
    """Write ``compare.html``, ``compare.json`` and ``compare.md`` and return what they say."""
    differences = compare(a, b)
    common = common_frames(a, b)
    only = {side.name: len(side.frames) - len(common) for side in (a, b)}
    settings = changed_settings(a.report, b.report)
    content = {
        'a': a.name,
        'b': b.name,
        'frames': len(common),
        'only_in_one': list(only.values()),
        'changed_settings': {name: list(values) for name, values in settings.items()},
        'measures': [asdict(difference) for difference in differences],
    }
    write_json(output / RESULT, content)
    write_text(output / WORDS, as_markdown(a, b, differences))
    first = [key for key in common if key[0] == common[0][0]]
    write_page(
        output / PAGE,
        'compare.html.jinja',
        title=f'{a.name} and {b.name}',
        a=a,
        b=b,
        frames_in_common=len(common),
        differences=differences,
        settings={name: [json.dumps(value) for value in values] for name, values in settings.items()},
        plots=_plots(a, b, first),
        first=common[0][0],
        several=len(first) < len(common),
        frames=[_frame(a, b, key) for key in _frames_with_pictures(a, b, common)],
    )
    return differences


def as_markdown(a: Evaluation, b: Evaluation, differences: list[Difference]) -> str:
    """The table of differences."""
    rows: list[list[str | float]] = []
    for entry in differences:
        interval = f'{entry.low:.3f} to {entry.high:.3f}' if math.isfinite(entry.low) else '-'
        rows.append([entry.measure, entry.a, entry.b, entry.difference, interval, str(entry.frames), entry.verdict])
    return markdown_table(['measure', f'A: {a.name}', f'B: {b.name}', 'B - A', '95 % interval', 'frames', 'B is'], rows)


def changed_settings(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Weights, engine and settings that are not the same in two reports."""
    first, second = (flat({name: report[name] for name in ('weights', 'engine', 'settings')}) for report in (a, b))
    names = [*first, *(name for name in second if name not in first)]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def _verdict(low: float, high: float, better: int) -> str:
    if not math.isfinite(low):
        return 'too few frames'
    sign = 1 if low > 0 else -1 if high < 0 else 0
    return VERDICTS[sign * better] if better or not sign else 'changed'


def _read_frames(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    try:
        with path.open(newline='') as file:
            return {
                (row['recording'], int(row['stamp_ns'])): {
                    name: float(text) for name, text in row.items() if name != 'recording' and text
                }
                for row in csv.DictReader(file)
            }
    except FileNotFoundError as error:
        raise InputError(f'{path}: no such file') from error
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f'{path}: not a table of frames ({error})') from error


def _plots(a: Evaluation, b: Evaluation, keys: list[tuple[str, int]]) -> list[TimePlot]:
    """B - A over the frames of one recording."""
    seconds = np.array([(stamp - keys[0][1]) / 1e9 for _, stamp in keys])
    plots = []
    for name in PLOTS:
        values = np.array([b.frames[key].get(name, math.nan) - a.frames[key].get(name, math.nan) for key in keys])
        known = np.isfinite(values)
        if known.sum() > 1:
            plots.append(TimePlot.of(f'{name}, B − A', seconds[known], values[known]))
    return plots


def _frames_with_pictures(a: Evaluation, b: Evaluation, common: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those frames of which both evaluations kept pictures, with the largest change first."""
    shown = [key for key in common if all((_pictures(side, key) / 'fused.jpg').is_file() for side in (a, b))]

    def change(key: tuple[str, int]) -> float:
        values = [abs(b.frames[key].get(name, 0.0) - a.frames[key].get(name, 0.0)) for name in PICTURES_BY]
        return -max(values)

    return sorted(shown, key=change)[:MOST_FRAMES]


def _pictures(side: Evaluation, key: tuple[str, int]) -> Path:
    return side.folder / RECORDINGS / key[0] / PICTURES / f'{int(side.frames[key]["frame"]):06d}'


def _frame(a: Evaluation, b: Evaluation, key: tuple[str, int]) -> FrameCard:
    first, second = (_pictures(side, key) for side in (a, b))
    changes = [
        f'{name} {number(a.frames[key][name])} → {number(b.frames[key][name])}'
        for name in ('VIF', 'Qabf', 'AbsRel')
        if name in a.frames[key] and name in b.frames[key]
    ]
    files = {
        'visible': first / 'visible.jpg', 'thermal': first / 'thermal.jpg', 'A fused': first / 'fused.jpg',
        'B fused': second / 'fused.jpg', 'A depth': first / 'depth.jpg', 'B depth': second / 'depth.jpg',
    }  # fmt: skip
    pictures = [(name, file.read_bytes()) for name, file in files.items() if file.is_file()]
    difference = _enlarged_difference(read_image(files['A fused']), read_image(files['B fused']))
    pictures.insert(4, (f'|B − A| × {DIFFERENCE_GAIN}', difference))
    return FrameCard(' · '.join([key[0], f'stamp {key[1]}', *changes]), pictures)


def _enlarged_difference(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bytes:
    """A JPEG of the difference of two images; of an empty one if their sizes differ."""
    if first.shape != second.shape:
        second = first
    difference = DIFFERENCE_GAIN * cv2.absdiff(first, second).astype(np.int32)
    shown = np.clip(difference, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode('.jpg', shown[..., ::-1])[1])
