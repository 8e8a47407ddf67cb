"""Pages that load nothing from elsewhere, from the templates beside this module, and what these draw."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ldfusion_training.report.tables import write_text

Series = npt.NDArray[np.float64]
# More points than this can't be told apart in a plot.
MOST_POINTS = 300


def write_page(path: Path, template: str, **content: object) -> None:
    """Write the page that a template makes of ``content``; all of it is text, and escaped."""
    loader = FileSystemLoader(Path(__file__).with_name('templates'))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {'number': number, 'base64': lambda jpeg: base64.b64encode(jpeg).decode()}
    write_text(path, environment.get_template(template).render(content))


def number(value: float | None) -> str:
    """A number with the digits that people look at; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return '–'
    size = abs(value)
    if size >= 1000:
        return f'{value:,.0f}'
    return f'{value:.1f}' if size >= 100 else f'{value:.2f}' if size >= 10 else f'{value:.3f}'


@dataclass(frozen=True)
class FrameCard:
    """Pictures of one frame, by name as JPEG, under a caption."""

    caption: str
    pictures: list[tuple[str, bytes]]


@dataclass(frozen=True)
class TimePlot:
    """A measure over time, drawn: of many frames the mean, and from the least to the most as a band.

    Attributes:
        title: above it.
        mean: of all frames.
        start, end: seconds.
        ticks: values, and where they are from above.
        curve, band: points as SVG writes them.
    """

    title: str
    mean: float
    start: float
    end: float
    ticks: list[tuple[float, float]]
    curve: str
    band: str
    width: int = 420
    height: int = 150
    left: int = 46
    right: int = 412

    @classmethod
    def of(cls, title: str, seconds: Series, values: Series, points: int = MOST_POINTS) -> 'TimePlot':
        """Draw finite ``values`` (N,) at ``seconds`` (N,) with at most so many points."""
        runs = np.array_split(np.arange(len(values)), min(max(2, min(points, MOST_POINTS)), len(values)))
        times, means = (np.array([series[run].mean() for run in runs]) for series in (seconds, values))
        lows, highs = (np.array([extreme(values[run]) for run in runs]) for extreme in (np.min, np.max))
        bottom, top, ticks = _axis(float(lows.min()), float(highs.max()))
        span = max(float(times[-1] - times[0]), 1e-9)
        x = cls.left + (times - times[0]) / span * (cls.right - cls.left)

        def y(heights: npt.ArrayLike) -> Series:
            return 24 + (top - np.asarray(heights)) / (top - bottom) * (cls.height - 46)

        def path(heights: Series) -> list[str]:
            return [f'{column:.1f},{row:.1f}' for column, row in zip(x, y(heights), strict=True)]

        return cls(
            title,
            float(values.mean()),
            float(times[0]),
            float(times[-1]),
            list(zip(ticks, y(ticks).round(1).tolist(), strict=True)),
            ' '.join(path(means)),
            ' '.join(path(highs) + path(lows)[::-1]),
        )


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Ends and round ticks of an axis that holds the values with some room."""
    room = 0.08 * (high - low) or 0.05 * max(abs(high), 1e-3)
    bottom, top = low - room, high + room
    raw = (top - bottom) / 4
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= raw)
    ticks = [round(count * step, 12) for count in range(math.ceil(bottom / step), math.floor(top / step) + 1)]
    return bottom, top, ticks
