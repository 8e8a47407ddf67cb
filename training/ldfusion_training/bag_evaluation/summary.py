"""Evaluated recordings summed up: ``report.json``, ``frames.csv`` and ``latency.json``."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_models import __version__
from ldfusion_models.errors import InputError
from ldfusion_training.bag_evaluation.frame_log import Row, read_rows
from ldfusion_training.bag_evaluation.measures import MEASURES
from ldfusion_training.bag_evaluation.run import DONE, FRAMES, LATENCIES, SPEED, STATE
from ldfusion_training.data.depth import read_json
from ldfusion_training.report.tables import write_json, write_text

FORMAT, VERSION = 'ldfusion-bag-evaluation', 1
REPORT, TABLE, LATENCY, RECORDINGS = 'report.json', 'frames.csv', 'latency.json', 'recordings'
COLUMNS = ('frame', 'stamp_ns', 'offset_ms', 'covered')
STEPS = ('register', 'engine')


@dataclass(frozen=True)
class Evaluated:
    """What is known of one recording.

    Attributes:
        name: of its folder.
        folder: with its pictures.
        state, done: what evaluation it is, and what came of it.
        rows: measures by frame.
        times: milliseconds by frame.
        speed: frames, seconds and seconds of fusing of the last run; empty if nothing was left to do.
    """

    name: str
    folder: Path
    state: dict[str, Any]
    done: dict[str, Any]
    rows: list[Row]
    times: list[Row]
    speed: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> 'Evaluated':
        """Read the folder of a recording that is done; raises InputError if it is not."""
        return cls(
            folder.name,
            folder,
            read_json(folder / STATE),
            read_json(folder / DONE),
            read_rows(folder / FRAMES),
            read_rows(folder / LATENCIES),
            read_json(folder / SPEED) if (folder / SPEED).is_file() else {},
        )


def write_summary(output: Path, recordings: Sequence[Evaluated], failed: dict[str, str]) -> dict[str, Any]:
    """Write the three files and return the report.

    Args:
        output: folder.
        recordings: that were evaluated, at least one.
        failed: by name, why a recording was not.
    """
    report = make_report(recordings, failed)
    write_json(output / REPORT, report)
    write_text(output / TABLE, frame_table(recordings))
    write_json(output / LATENCY, latencies(recordings))
    return report


def make_report(recordings: Sequence[Evaluated], failed: dict[str, str]) -> dict[str, Any]:
    """All but times, so that the same recordings give the same report."""
    first = recordings[0].state
    return {
        'format': FORMAT,
        'version': VERSION,
        'ldfusion': __version__,
        'engine': first['engine'],
        'weights': first['weights'],
        'settings': first['settings'],
        'frames': sum(len(recording.rows) for recording in recordings),
        'measures': statistics([row for recording in recordings for row in recording.rows]),
        'recordings': [
            {
                'name': recording.name,
                'seconds': _seconds(recording.rows),
                **recording.done,
                'measures': statistics(recording.rows),
            }
            for recording in recordings
        ],
        'failed': failed,
    }


def read_report(path: Path) -> dict[str, Any]:
    """The report in a folder, or in a file.

    Raises:
        InputError: there is none, or it is of another kind.
    """
    file = path / REPORT if path.is_dir() else path
    report: dict[str, Any] = read_json(file)
    if not isinstance(report, dict) or (report.get('format'), report.get('version')) != (FORMAT, VERSION):
        raise InputError(f'{file}: not the report of an evaluated recording (ldfusion evaluate bag writes them)')
    return report


def flat(settings: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested settings by their names with dots."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f'{prefix}{name}.') if isinstance(value, dict) else {f'{prefix}{name}': value}
    return found


def statistics(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """By measure: mean, standard deviation, percentiles and extremes over the frames that have it."""
    found = {}
    for measure in MEASURES:
        values = known_values(rows, measure.name)
        if values.size:
            low, median, high = np.percentile(values, (5, 50, 95)).tolist()
            found[measure.name] = {
                'mean': float(values.mean()),
                'std': float(values.std()),
                'min': float(values.min()),
                'p5': low,
                'p50': median,
                'p95': high,
                'max': float(values.max()),
                'frames': int(values.size),
            }
    return found


def known_values(rows: Sequence[Row], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The finite values of a measure, in the order of the frames."""
    values = np.array([row.get(name, math.nan) for row in rows], np.float64)
    return values[np.isfinite(values)]


def frame_table(recordings: Sequence[Evaluated]) -> str:
    """All frames as comma-separated values; what was not measured is empty."""
    present = {name for recording in recordings for row in recording.rows for name in row}
    names = [*COLUMNS, *(measure.name for measure in MEASURES if measure.name in present)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['recording', *names])
    for recording in recordings:
        for row in recording.rows:
            writer.writerow([recording.name, *(_cell(row.get(name)) for name in names)])
    return text.getvalue()


def latencies(recordings: Sequence[Evaluated]) -> dict[str, Any]:
    """Percentiles of each step's milliseconds, and how fast the evaluation went beside them."""
    return {recording.name: _times(recording) for recording in recordings}


def _times(recording: Evaluated) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    table = np.array([[row[step] for step in STEPS] for row in recording.times], np.float64).reshape(-1, len(STEPS))
    columns = dict(zip((*STEPS, 'total'), [*table.T, table.sum(axis=1)], strict=True))
    for step, values in columns.items():
        p50, p95 = np.percentile(values, (50, 95)).round(3).tolist() if values.size else (None, None)
        steps[step] = {'p50': p50, 'p95': p95}
    speed = dict(recording.speed)
    if speed:
        speed['frames_per_second'] = round(speed['frames'] / speed['seconds'], 2)
        speed['above_fusing_percent'] = round(100 * (speed['seconds'] / speed['fusing_seconds'] - 1), 1)
    return {'milliseconds': steps, 'speed': speed}


def _seconds(rows: Sequence[Row]) -> float:
    return float((rows[-1]['stamp_ns'] - rows[0]['stamp_ns']) / 1e9) if rows else 0.0


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ''
    return json.dumps(value)
