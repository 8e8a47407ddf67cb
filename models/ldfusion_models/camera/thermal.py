"""Thermal counts and temperatures to the 8 bits that the networks and people see: automatic gain control (AGC)."""

from dataclasses import dataclass
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.choices import GainMode
from ldfusion_models.errors import InputError

GAIN_MODES = get_args(GainMode)
CLAHE_LIMIT, CLAHE_TILES = 2.0, (8, 8)
# Steps between the limits for which plateau equalisation counts pixels.
BINS = 512
# Kelvin of one count for temperatures in floats: up to 1638 K, as finely as cameras measure.
KELVIN_PER_COUNT = 0.025
# Smaller images than this are looked at whole, larger ones at every fourth pixel.
SMALL = 64


def as_counts(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Counts (H, W) without a sign for the gain control: int16 moved by 32768, kelvin (float32) in small steps."""
    if values.dtype == np.int16:
        return np.asarray(values.astype(np.int32) + 32768, np.uint16)
    if values.dtype == np.float32:
        return np.asarray(np.clip(values * np.float32(1 / KELVIN_PER_COUNT), 0, 65535), np.uint16)
    return np.asarray(values, np.uint16)


@dataclass(frozen=True)
class GainConfig:
    """Settings of the gain control.

    Attributes:
        low_percentile, high_percentile: counts mapped to 0 and 255, in percent of the pixels.
        smoothing: part of the last frame's limits that stays, 0 (none) to below 1, so that video does not pump.
        minimum_range: counts that the limits are at least apart, so that noise of an empty scene is not blown up.
        mode: ``percentile``, a straight line between the limits; ``clahe``, on top of it the contrast of each tile of
            the image, so that grey is no measure of temperature; ``plateau``, more grey levels for temperatures that
            many pixels have, so that one hot pipe doesn't make the walls black.
        plateau: temperatures that more pixels have than so many times the mean get no more grey levels for it.

    Raises:
        InputError: an unknown mode.
    """

    low_percentile: float = 1.0
    high_percentile: float = 99.5
    smoothing: float = 0.9
    minimum_range: float = 64.0
    mode: str = 'percentile'
    plateau: float = 3.0

    def __post_init__(self) -> None:
        if self.mode not in GAIN_MODES:
            raise InputError(f'thermal gain {self.mode!r}: choose one of {", ".join(GAIN_MODES)}')


class GainControl:
    """Gain control that follows the scene slowly."""

    def __init__(self, config: GainConfig | None = None) -> None:
        self.config = config or GainConfig()
        self._limits: npt.NDArray[np.float64] | None = None
        self._table: npt.NDArray[np.float64] | None = None
        self._clahe = cv2.createCLAHE(CLAHE_LIMIT, CLAHE_TILES) if self.config.mode == 'clahe' else None

    def __call__(
        self, counts: npt.NDArray[np.uint16], coverage: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Map counts (H, W) to grey (H, W); pixels where ``coverage`` (H, W) is 0 have no say in the limits."""
        # A quarter of the pixels in each axis gives the same percentiles at a sixteenth of the cost.
        step = 4 if min(counts.shape) >= SMALL else 1
        some = counts[::step, ::step]
        if coverage is not None and (covered := coverage[::step, ::step] > 0).any():
            some = some[covered]
        limits = np.percentile(some, (self.config.low_percentile, self.config.high_percentile))
        if self.config.mode == 'plateau':
            self._table = self._smooth(self._equalise(some, *limits), self._table)
            return np.asarray(np.take((self._table + 0.5).astype(np.uint8), counts), np.uint8)
        self._limits = self._smooth(limits, self._limits)
        low, high = self._limits
        span = max(float(high - low), self.config.minimum_range)
        scaled = (counts.astype(np.float32) - np.float32(low)) * np.float32(255.0 / span)
        grey = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
        return np.asarray(self._clahe.apply(grey), np.uint8) if self._clahe else grey

    def _equalise(self, some: npt.NDArray[np.uint16], low: float, high: float) -> npt.NDArray[np.float64]:
        """Grey level of each count (65536,): it rises with the number of pixels of a temperature, up to a limit."""
        span = max(high - low, 1.0)
        number, edges = np.histogram(some, BINS, (low, low + span))
        shares = np.minimum(number / max(1, number.sum()) * BINS, self.config.plateau)
        rise = np.concatenate(([0.0], np.cumsum(shares)))
        # The steepest part must not be steeper than a straight line over the minimum range.
        least = self.config.plateau * BINS * self.config.minimum_range / span
        levels = 255.0 * rise / max(float(rise[-1]), least, 1e-9)
        return np.interp(np.arange(65536), edges, levels)

    def _smooth(self, new: npt.NDArray[np.float64], old: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
        keep = self.config.smoothing
        return new if old is None else keep * old + (1 - keep) * new
