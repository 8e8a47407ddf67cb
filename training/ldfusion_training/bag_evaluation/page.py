"""The report as a page: ``report.html``, with everything in it, small however long the recordings are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_training.bag_evaluation.frame_log import Row
from ldfusion_training.bag_evaluation.gallery import KINDS
from ldfusion_training.bag_evaluation.html_page import FrameCard, TimePlot, number, write_page
from ldfusion_training.bag_evaluation.measures import BY_NAME, MEASURES, is_known
from ldfusion_training.bag_evaluation.run import PICTURES
from ldfusion_training.bag_evaluation.summary import Evaluated, flat

PAGE = 'report.html'
# Frames with pictures on the whole page, and frames of one recording that show its course; pictures are its weight.
MOST_FRAMES, EVEN_FRAMES = 90, 10
POINTS_IN_ALL = 3000
GROUPS = {
    'quick': 'Fusion, every frame',
    'full': 'Fusion, frames measured in full',
    'video': 'Video: points followed by optical flow of the visible images',
    'depth': 'Depth against measured depth',
}
TILES = ('VIF', 'Qabf', 'SSIM', 'MI', 'flicker', 'AbsRel')
PLOTS = ('VIF', 'Qabf', 'SSIM', 'Nabf', 'MI', 'SD', 'SF', 'flicker', 'pumping', 'AbsRel', 'd<1.25')


def write_report_page(
    path: Path, report: dict[str, Any], recordings: Sequence[Evaluated], latency: dict[str, Any]
) -> None:
    """Write the page.

    Args:
        path: file.
        report: as ``make_report`` gives it.
        recordings: that it is about, in its order.
        latency: as ``latencies`` gives it.
    """
    entries = report['recordings']
    shares = max(1, MOST_FRAMES // len(entries)), max(40, POINTS_IN_ALL // len(entries))
    present = [measure for measure in MEASURES if measure.name in report['measures']]
    groups = [(title, [measure for measure in present if measure.group == group]) for group, title in GROUPS.items()]
    write_page(
        path,
        'report.html.jinja',
        title=f'Evaluation of {entries[0]["name"] if len(entries) == 1 else f"{len(entries)} recordings"}',
        report=report,
        tiles=_tiles(report, latency),
        problems=[f'{name}: {reason}' for name, reason in report['failed'].items()] + _said(entries, 'problems'),
        notes=_said(entries, 'notes'),
        groups=[(title, measures) for title, measures in groups if measures],
        columns=[name for name in TILES if name in report['measures']],
        recordings=[_recording(entry, each, *shares) for entry, each in zip(entries, recordings, strict=True)],
        latency=latency,
        steps=list(next(iter(latency.values()))['milliseconds']),
        settings={name: json.dumps(value) for name, value in flat(report['settings']).items()},
    )


def _tiles(report: dict[str, Any], latency: dict[str, Any]) -> list[tuple[str, str]]:
    measures = report['measures']
    tiles = [('frames fused', f'{report["frames"]:,}')]
    tiles += [(BY_NAME[name].titled, number(measures[name]['mean'])) for name in TILES if name in measures]
    totals = [times['milliseconds']['total']['p50'] for times in latency.values()]
    if known := [total for total in totals if total is not None]:
        tiles.append(('ms per frame (p50)', number(float(np.median(known)))))
    return tiles


def _said(entries: Sequence[dict[str, Any]], what: str) -> list[str]:
    return [f'{entry["name"]}: {line}' for entry in entries for line in entry[what]]


def _recording(entry: dict[str, Any], recording: Evaluated, frames: int, points: int) -> dict[str, Any]:
    worst = list(_worst_frames(entry['pictures']['worst']).items())[: max(1, frames // 2)]
    even = entry['pictures']['even']
    count = min(EVEN_FRAMES, max(1, frames - len(worst)), len(even))
    places = np.unique(np.linspace(0, len(even) - 1, count).round().astype(int))
    return {
        'name': entry['name'],
        'facts': [
            f'{entry["seconds"]:.1f} s',
            *(f'{count:,} {name}' for name, count in entry['counts'].items()),
            *(f'{count:,} {name.replace("_", " ")} (dropped)' for name, count in entry['drops'].items()),
        ],
        'topics': [f'{name} {topic}' for name, topic in entry['topics'].items()],
        'plots': _plots(recording.rows, points),
        'worst': [_frame(recording, index, reasons) for index, reasons in worst],
        'even': [_frame(recording, even[place], []) for place in places],
    }


def _plots(rows: Sequence[Row], points: int) -> list[TimePlot]:
    plots = []
    for name in PLOTS:
        known = [row for row in rows if is_known(row.get(name))]
        if len(known) > 1:
            seconds = np.array([(row['stamp_ns'] - rows[0]['stamp_ns']) / 1e9 for row in known], np.float64)
            values = np.array([row[name] for row in known], np.float64)
            plots.append(TimePlot.of(BY_NAME[name].titled, seconds, values, points))
    return plots


def _worst_frames(worst: dict[str, list[dict[str, Any]]]) -> dict[int, list[str]]:
    """By frame, what it is worst in; first the very worst by each measure."""
    found: dict[int, list[str]] = {}
    for place in range(max((len(kept) for kept in worst.values()), default=0)):
        for name, kept in worst.items():
            if place < len(kept):
                found.setdefault(kept[place]['index'], []).append(f'{name} {number(kept[place]["value"])}')
    return found


def _frame(recording: Evaluated, index: int, reasons: list[str]) -> FrameCard:
    row = recording.rows[index]
    seconds = (row['stamp_ns'] - recording.rows[0]['stamp_ns']) / 1e9
    values = [f'{name} {number(row[name])}' for name in ('VIF', 'Qabf', 'AbsRel') if is_known(row.get(name))]
    shown = [f'worst: {", ".join(reasons)}'] if reasons else values
    files = [(kind, recording.folder / PICTURES / f'{index:06d}' / f'{kind}.jpg') for kind in KINDS]
    return FrameCard(
        ' · '.join([f'frame {index}', f'{seconds:.2f} s', f'stamp {row["stamp_ns"]}', *shown]),
        [(kind, file.read_bytes()) for kind, file in files if file.is_file()],
    )
