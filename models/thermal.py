"""Thermal images of 16 bits to the 8 bits that the networks and people see: automatic gain control (AGC)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class GainConfig:
    """Settings of the gain control.

    Attributes:
        low_percentile, high_percentile: counts mapped to 0 and 255, in percent of the pixels.
        smoothing: part of the last frame's limits that stays, 0 (none) to below 1, so that video does not pump.
        minimum_range: counts that the limits are at least apart, so that noise of an empty scene is not blown up.
    """

    low_percentile: float = 1.0
    high_percentile: float = 99.5
    smoothing: float = 0.9
    minimum_range: float = 64.0


class GainControl:
    """Percentile gain control with limits that follow the scene slowly."""

    def __init__(self, config: GainConfig | None = None) -> None:
        self.config = config or GainConfig()
        self._limits: tuple[float, float] | None = None

    def __call__(
        self, counts: npt.NDArray[np.uint16], coverage: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Map counts (H, W) to grey (H, W); pixels where ``coverage`` (H, W) is 0 have no say in the limits."""
        # A quarter of the pixels in each axis gives the same percentiles at a sixteenth of the cost.
        some = counts[::4, ::4]
        if coverage is not None and (covered := coverage[::4, ::4] > 0).any():
            some = some[covered]
        low, high = np.percentile(some, (self.config.low_percentile, self.config.high_percentile))
        if self._limits is not None:
            keep = self.config.smoothing
            low = keep * self._limits[0] + (1 - keep) * low
            high = keep * self._limits[1] + (1 - keep) * high
        self._limits = (float(low), float(high))
        span = max(float(high - low), self.config.minimum_range)
        scaled = (counts.astype(np.float32) - np.float32(low)) * np.float32(255.0 / span)
        grey: npt.NDArray[np.uint8] = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
        return grey
