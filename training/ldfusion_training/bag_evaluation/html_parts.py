"""Parts of HTML pages that load nothing from elsewhere: a document, tables, pictures, plots over time."""

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

STYLE = """
:root { --ink: #1c2430; --soft: #627084; --line: #dde3ea; --paper: #ffffff; --back: #f4f6f9; --accent: #2563a8;
  --band: #2563a833; --good: #1a7f4b; --bad: #b3382c; --warn: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #94a1b3; --line: #2d3746; --paper: #1a212c;
  --back: #12171f; --accent: #6aa8ec; --band: #6aa8ec33; --good: #52c48a; --bad: #f08275; --warn: #3a2e17; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 19px; margin: 34px 0 10px; }
h3 { font-size: 15px; margin: 22px 0 8px; }
p { margin: 4px 0 10px; } .soft { color: var(--soft); } code { font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 18px 0; }
.tile, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 23px; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tile span { color: var(--soft); font-size: 13px; }
.warn { background: var(--warn); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 14px; margin: 12px 0; }
.warn ul { margin: 4px 0; padding-left: 20px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; background: var(--paper); border: 1px solid var(--line);
  font-size: 14px; }
th, td { padding: 5px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child, th.left { text-align: left; }
td.words { white-space: normal; text-align: left; color: var(--soft); }
tr:last-child td { border-bottom: 0; } tr.group td { background: var(--back); color: var(--soft); font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 12px; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 11px; }
svg .title { fill: var(--ink); font-size: 12.5px; font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .band { fill: var(--band); }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.4; stroke-linejoin: round; }
.frame { background: var(--paper); border: 1px solid var(--line); border-radius: 10px;
  padding: 8px 10px 10px; margin: 10px 0; }
.frame p { margin: 0 0 6px; font-size: 13px; }
.row { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 6px; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: 4px; background: var(--line); }
figcaption { font-size: 12px; color: var(--soft); padding-top: 2px; }
details summary { cursor: pointer; color: var(--soft); margin: 8px 0; }
"""
PLOT_WIDTH, PLOT_HEIGHT = 420, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 24, 22
# More points than this can't be told apart in a plot.
MOST_POINTS = 300


def document(title: str, body: Sequence[str]) -> str:
    """A whole page."""
    content = '\n'.join(body)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f'<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{content}\n</main>\n</body>\n</html>\n'
    )


def heading(level: int, words: str) -> str:
    """A heading."""
    return f'<h{level}>{escape(words)}</h{level}>'


def paragraph(words: str) -> str:
    """Small print."""
    return f'<p class="soft">{escape(words)}</p>'


def tiles(entries: Sequence[tuple[str, str]]) -> str:
    """Large values with what they are below."""
    return (
        '<div class="tiles">'
        + ''.join(
            f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in entries
        )
        + '</div>'
    )


def warning(words: str, lines: Sequence[str]) -> str:
    """A box with what somebody should know first."""
    items = ''.join(f'<li>{escape(line)}</li>' for line in lines)
    return f'<div class="warn"><b>{escape(words)}</b><ul>{items}</ul></div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; a row with a single cell is the heading of a group."""
    words = {place for row in rows for place, cell in enumerate(row) if cell.startswith('<td class="words"')}
    head = ''.join(
        f'<th{" class=left" if place in words else ""}>{escape(name)}</th>' for place, name in enumerate(header)
    )
    lines = []
    for row in rows:
        if len(row) == 1:
            lines.append(f'<tr class="group"><td colspan="{len(header)}">{row[0]}</td></tr>')
        else:
            lines.append(
                '<tr>' + ''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row) + '</tr>'
            )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def words_cell(words: str) -> str:
    """A cell for text that may take several lines."""
    return f'<td class="words">{escape(words)}</td>'


def number(value: float | None) -> str:
    """A number with the digits that people look at; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return '–'
    size = abs(value)
    if size >= 1000:
        return f'{value:,.0f}'
    return f'{value:.1f}' if size >= 100 else f'{value:.2f}' if size >= 10 else f'{value:.3f}'


def figures(pictures: Sequence[tuple[str, Path | bytes]]) -> str:
    """JPEG pictures side by side, with what they show below; files that are missing are left out."""
    there = [(escape(name), picture) for name, picture in pictures if isinstance(picture, bytes) or picture.is_file()]
    cells = [
        f'<figure><img alt="{name}" src="{_data_address(picture)}"><figcaption>{name}</figcaption></figure>'
        for name, picture in there
    ]
    return f'<div class="row">{"".join(cells)}</div>'


def frame_card(caption: str, row: str) -> str:
    """Pictures of one frame under a caption."""
    return f'<div class="frame"><p>{escape(caption)}</p>{row}</div>'


def _data_address(picture: Path | bytes) -> str:
    content = picture if isinstance(picture, bytes) else picture.read_bytes()
    return f'data:image/jpeg;base64,{base64.b64encode(content).decode()}'


def time_plot(title: str, seconds: npt.NDArray[np.float64], values: npt.NDArray[np.float64], points: int) -> str:
    """A measure over time as SVG: of many frames the mean, and from the least to the most as a band.

    Args:
        title: above it.
        seconds, values: (N,) of the frames, finite.
        points: at most so many are drawn.
    """
    times, means, lows, highs = _condensed(seconds, values, max(2, min(points, MOST_POINTS)))
    bottom, top, ticks = _axis(float(lows.min()), float(highs.max()))
    span = max(float(times[-1] - times[0]), 1e-9)

    def x(time: float) -> float:
        return LEFT + (time - float(times[0])) / span * (PLOT_WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (top - value) / (top - bottom) * (PLOT_HEIGHT - TOP - BOTTOM)

    def path(values: npt.NDArray[np.float64]) -> list[str]:
        return [f'{x(time):.1f},{y(value):.1f}' for time, value in zip(times, values, strict=True)]

    grid = ''.join(
        f'<line class="grid" x1="{LEFT}" x2="{PLOT_WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in ticks
    )
    ends = (
        f'<text x="{LEFT}" y="{PLOT_HEIGHT - 6}">{times[0]:.4g} s</text>'
        f'<text x="{PLOT_WIDTH - RIGHT}" y="{PLOT_HEIGHT - 6}" text-anchor="end">{times[-1]:.4g} s</text>'
    )
    band = ' '.join(path(highs) + path(lows)[::-1])
    mean = f'mean {number(float(values.mean()))}'
    return (
        f'<div class="card"><svg viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text class="title" x="{LEFT}" y="14">{escape(title)}</text>'
        f'<text x="{PLOT_WIDTH - RIGHT}" y="14" text-anchor="end">{mean}</text>'
        f'{grid}{ends}<polygon class="band" points="{band}"/><polyline class="curve" points="{" ".join(path(means))}"/>'
        '</svg></div>'
    )


def _condensed(
    seconds: npt.NDArray[np.float64], values: npt.NDArray[np.float64], points: int
) -> tuple[npt.NDArray[np.float64], ...]:
    """Times, means, minima and maxima of at most ``points`` runs of frames."""
    runs = np.array_split(np.arange(len(values)), min(points, len(values)))
    return (
        np.array([seconds[run].mean() for run in runs]),
        np.array([values[run].mean() for run in runs]),
        np.array([values[run].min() for run in runs]),
        np.array([values[run].max() for run in runs]),
    )


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Ends and round ticks of an axis that holds the values with some room."""
    room = 0.08 * (high - low) or 0.05 * max(abs(high), 1e-3)
    bottom, top = low - room, high + room
    raw = (top - bottom) / 4
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= raw)
    first = math.ceil(bottom / step)
    ticks = [round(number * step, 12) for number in range(first, math.floor(top / step) + 1)]
    return bottom, top, ticks
