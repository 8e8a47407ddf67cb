"""The report as a page: ``report.html``, with everything in it, small however long the recordings are."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ldfusion_training.bag_evaluation import html_parts as html
from ldfusion_training.bag_evaluation.frame_log import Row
from ldfusion_training.bag_evaluation.gallery import KINDS
from ldfusion_training.bag_evaluation.measures import BY_NAME, MEASURES, Measure, is_known
from ldfusion_training.bag_evaluation.run import PICTURES
from ldfusion_training.bag_evaluation.summary import Evaluated
from ldfusion_training.report.tables import write_text

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
ARROWS = {1: ' ↑', -1: ' ↓', 0: ''}


def write_page(path: Path, report: dict[str, Any], recordings: Sequence[Evaluated], latency: dict[str, Any]) -> None:
    """Write the page.

    Args:
        path: file.
        report: as ``make_report`` gives it.
        recordings: that it is about, in its order.
        latency: as ``latencies`` gives it.
    """
    names = [recording['name'] for recording in report['recordings']]
    title = f'Evaluation of {names[0]}' if len(names) == 1 else f'Evaluation of {len(names)} recordings'
    engine = report['engine']
    body = [
        html.heading(1, title),
        html.paragraph(
            f'weights {report["weights"]} · engine {engine["name"]} ({engine["precision"]}) on {engine["device"]} · '
            f'ldfusion {report["ldfusion"]}'
        ),
        html.tiles(_tiles(report, latency)),
        *_problems(report),
        html.heading(2, 'Measures'),
        html.table(
            ['measure', 'mean', 'std', 'p5', 'median', 'p95', 'frames', 'meaning'], _measure_rows(report['measures'])
        ),
    ]
    if len(names) > 1:
        body += [html.heading(2, 'Recordings'), _recordings_table(report)]
    shares = max(1, MOST_FRAMES // len(names)), max(40, POINTS_IN_ALL // len(names))
    for entry, recording in zip(report['recordings'], recordings, strict=True):
        body += _recording(entry, recording, *shares)
    body += [html.heading(2, 'Time'), _latency_table(latency), *_speed(latency)]
    body += [html.heading(2, 'Settings'), _settings_table(report['settings'])]
    write_text(path, html.document(title, body))


def _tiles(report: dict[str, Any], latency: dict[str, Any]) -> list[tuple[str, str]]:
    measures = report['measures']
    entries = [('frames fused', f'{report["frames"]:,}')]
    entries += [
        (f'{name}{ARROWS[BY_NAME[name].better]}', html.number(measures[name]['mean']))
        for name in TILES
        if name in measures
    ]
    times = [times['milliseconds']['total']['p50'] for times in latency.values()]
    known = [time for time in times if time is not None]
    if known:
        entries.append(('ms per frame (p50)', html.number(float(np.median(known)))))
    return entries


def _problems(report: dict[str, Any]) -> list[str]:
    lines = [f'{name}: {words}' for name, words in report['failed'].items()]
    lines += [f'{entry["name"]}: {words}' for entry in report['recordings'] for words in entry['problems']]
    notes = [f'{entry["name"]}: {words}' for entry in report['recordings'] for words in entry['notes']]
    parts = [html.warning('Not all could be read and evaluated', lines)] if lines else []
    return parts + ([html.warning('Left out', notes)] if notes else [])


def _measure_rows(measures: dict[str, dict[str, float]]) -> list[list[str]]:
    rows: list[list[str]] = []
    for group, title in GROUPS.items():
        present = [measure for measure in MEASURES if measure.group == group and measure.name in measures]
        if present:
            rows.append([title])
            rows += [_measure_row(measure, measures[measure.name]) for measure in present]
    return rows


def _measure_row(measure: Measure, values: dict[str, float]) -> list[str]:
    numbers = [html.number(values[name]) for name in ('mean', 'std', 'p5', 'p50', 'p95')]
    return [
        escape(measure.name) + ARROWS[measure.better],
        *numbers,
        f'{values["frames"]:,}',
        html.words_cell(measure.meaning),
    ]


def _recordings_table(report: dict[str, Any]) -> str:
    names = [name for name in TILES if name in report['measures']]
    rows = []
    for entry in report['recordings']:
        means = [html.number(entry['measures'].get(name, {}).get('mean')) for name in names]
        rows.append([escape(entry['name']), f'{entry["counts"]["pairs"]:,}', f'{entry["seconds"]:.1f}', *means])
    return html.table(['recording', 'pairs', 'seconds', *names], rows)


def _recording(entry: dict[str, Any], recording: Evaluated, frames: int, points: int) -> list[str]:
    counts = entry['counts']
    facts = [f'{entry["seconds"]:.1f} s', *(f'{count:,} {name}' for name, count in counts.items())]
    facts += [f'{count:,} {name.replace("_", " ")} (dropped)' for name, count in entry['drops'].items()]
    topics = ' · '.join(f'{name} {topic}' for name, topic in entry['topics'].items())
    parts = [
        html.heading(2, entry['name']),
        html.paragraph(' · '.join(facts)),
        html.paragraph(topics),
        _plots(recording.rows, points),
    ]
    worst = _worst_frames(entry['pictures']['worst'])
    shown = list(worst.items())[: max(1, frames // 2)]
    if shown:
        parts.append(html.heading(3, 'Worst frames'))
        parts += [_frame(recording, index, reasons) for index, reasons in shown]
    even = _thinned(entry['pictures']['even'], min(EVEN_FRAMES, max(1, frames - len(shown))))
    parts.append(html.heading(3, 'Evenly from the whole time'))
    parts += [_frame(recording, index, []) for index in even]
    return parts


def _plots(rows: Sequence[Row], points: int) -> str:
    parts = []
    for name in PLOTS:
        known = [row for row in rows if is_known(row.get(name))]
        if len(known) > 1:
            seconds = np.array([(row['stamp_ns'] - rows[0]['stamp_ns']) / 1e9 for row in known], np.float64)
            values = np.array([row[name] for row in known], np.float64)
            parts.append(html.time_plot(f'{name}{ARROWS[BY_NAME[name].better]}', seconds, values, points))
    return f'<div class="plots">{"".join(parts)}</div>'


def _worst_frames(worst: dict[str, list[dict[str, Any]]]) -> dict[int, list[str]]:
    """By frame, what it is worst in; first the very worst by each measure."""
    found: dict[int, list[str]] = {}
    for place in range(max((len(kept) for kept in worst.values()), default=0)):
        for name, kept in worst.items():
            if place < len(kept):
                found.setdefault(kept[place]['index'], []).append(f'{name} {html.number(kept[place]["value"])}')
    return found


def _frame(recording: Evaluated, index: int, reasons: list[str]) -> str:
    row = recording.rows[index]
    seconds = (row['stamp_ns'] - recording.rows[0]['stamp_ns']) / 1e9
    values = [f'{name} {html.number(row[name])}' for name in ('VIF', 'Qabf', 'AbsRel') if is_known(row.get(name))]
    words = [f'worst: {", ".join(reasons)}'] if reasons else values
    caption = ' · '.join([f'frame {index}', f'{seconds:.2f} s', f'stamp {row["stamp_ns"]}', *words])
    folder = recording.folder / PICTURES / f'{index:06d}'
    return html.frame_card(caption, html.figures([(kind, folder / f'{kind}.jpg') for kind in KINDS]))


def _thinned(indices: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of them, evenly."""
    places = np.unique(np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int))
    return [indices[place] for place in places]


def _latency_table(latency: dict[str, Any]) -> str:
    steps = list(next(iter(latency.values()))['milliseconds'])
    header = ['milliseconds', *(f'{step} {part}' for step in steps for part in ('p50', 'p95'))]
    rows = [
        [escape(name), *(html.number(times['milliseconds'][step][part]) for step in steps for part in ('p50', 'p95'))]
        for name, times in latency.items()
    ]
    return html.table(header, rows)


def _speed(latency: dict[str, Any]) -> list[str]:
    lines = [
        f'{name}: {speed["frames_per_second"]:g} frames per second with reading, measuring and pictures, '
        f'{speed["above_fusing_percent"]:g} % longer than preparation and engine alone.'
        for name, times in latency.items()
        if (speed := times['speed'])
    ]
    return [html.paragraph(line) for line in lines]


def _settings_table(settings: dict[str, Any], prefix: str = '') -> str:
    rows = [[escape(name), html.words_cell(json.dumps(value))] for name, value in _flat(settings, prefix)]
    return html.table(['setting', 'value'], rows)


def _flat(settings: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, value in settings.items():
        found += _flat(value, f'{prefix}{name}.') if isinstance(value, dict) else [(f'{prefix}{name}', value)]
    return found
