"""How far two images of different cameras are apart: correlation of the directions of their edges.

Visible and thermal images of a scene share edges, not brightness, and what is brighter in one may be darker in the
other. Edges are therefore compared by direction without sign (their angle doubled), after their strength was divided by
that of the edges around, and the correlations of many pairs are summed before the peak is looked for.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]

# Edges are found after a blur of this many pixels, and their strength compared with a square of this half side;
# contrasts of a few grey levels count as noise.
BLUR = 1.0
NEIGHBOURHOOD = 12
NOISE_LEVEL = 3.0
# A peak this many standard deviations above the rest is one. Pairs of images of different places reach 3 to 4
# (see docs/decisions.md).
CONFIDENT = 6.0
# The drift monitor's images are reduced to this width.
MONITOR_WIDTH = 320
# Shifts are looked for up to this part of the width.
MONITOR_REACH = 0.08


@dataclass(frozen=True)
class Shift:
    """Where the thermal image's content would have to be moved, in pixels to the right and down.

    Attributes:
        x, y: the shift.
        confidence: height of the peak over the rest of the correlation, in its standard deviations.
    """

    x: float
    y: float
    confidence: float

    @property
    def is_certain(self) -> bool:
        """Whether the images tell the shift at all."""
        return self.confidence >= CONFIDENT

    @property
    def length(self) -> float:
        """In pixels."""
        return math.hypot(self.x, self.y)


def edge_directions(image: npt.NDArray[np.uint8]) -> Plane:
    """Edges (H, W, 2) of a grey image (H, W): cosine and sine of twice their direction, times relative strength."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), BLUR)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    strength = cv2.magnitude(right, down)
    around = cv2.blur(strength, (2 * NEIGHBOURHOOD + 1, 2 * NEIGHBOURHOOD + 1))
    scale = 1 / ((strength + np.float32(1e-6)) * (around + np.float32(NOISE_LEVEL)))
    return np.stack(((right * right - down * down) * scale, 2 * right * down * scale), axis=-1)


def correlation(visible: Plane, thermal: Plane, weight: Plane) -> Plane:
    """Agreement (H, W) of two :func:`edge_directions` for every shift of the thermal image; no shift is in the middle.

    ``weight`` (H, W) says how much each pixel counts; it should fall to 0 at the border.
    """
    spectra = [cv2.dft(edges * weight[..., None], flags=cv2.DFT_COMPLEX_OUTPUT) for edges in (visible, thermal)]
    product = cv2.mulSpectrums(spectra[0], spectra[1], 0, conjB=True)
    agreement = cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0]
    return np.asarray(np.fft.fftshift(agreement), np.float32)


def window(width: int, height: int) -> Plane:
    """A weight (height, width) that falls to 0 at the border (Hann)."""
    return np.asarray(np.outer(np.hanning(height), np.hanning(width)), np.float32)


def peak_of(agreement: npt.NDArray[np.floating], reach: int) -> Shift:
    """The shift of the highest peak of a :func:`correlation`, or a sum of them, among shifts up to ``reach`` pixels."""
    height, width = agreement.shape
    across, down = min(reach, width // 2 - 1), min(reach, height // 2 - 1)
    part = _central(agreement, across, down)
    row, column = np.unravel_index(np.argmax(part), part.shape)
    # What a peak has to rise from is told by more than the shifts that are looked at, which it may fill.
    around = _central(agreement, max(across, width // 4), max(down, height // 4))
    middle = np.median(around)
    spread = 1.4826 * np.median(np.abs(around - middle))
    if not spread > 0:
        return Shift(0.0, 0.0, 0.0)
    return Shift(
        float(column - across + _vertex(part[row], int(column))),
        float(row - down + _vertex(part[:, column], int(row))),
        float((part[row, column] - middle) / spread),
    )


def _central(agreement: npt.NDArray[np.floating], across: int, down: int) -> npt.NDArray[np.floating]:
    height, width = agreement.shape
    return agreement[height // 2 - down : height // 2 + down + 1, width // 2 - across : width // 2 + across + 1]


def _vertex(values: npt.NDArray[np.floating], index: int) -> float:
    """How far from ``index`` the vertex of the parabola through it and its neighbours lies."""
    if not 0 < index < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[index - 1 : index + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


class DriftMonitor:
    """Watches how far registered pairs are apart; the last pairs count most."""

    def __init__(self, keep: float = 0.8) -> None:
        """Keep that part of what is known from pair to pair."""
        self._keep = keep
        self._agreement: Plane | None = None
        self._size = (0, 0)

    def __call__(
        self,
        visible: npt.NDArray[np.uint8],
        thermal: npt.NDArray[np.uint8],
        coverage: npt.NDArray[np.float32] | None = None,
    ) -> Shift:
        """Take a registered pair; returns the shift in pixels of these images as known by now.

        Args:
            visible: (H, W, 3) RGB.
            thermal: (H, W), grey.
            coverage: (H, W) weight of the thermal image; None for 1.
        """
        height, width = visible.shape[:2]
        scale = min(1.0, MONITOR_WIDTH / width)
        size = max(8, round(width * scale)), max(8, round(height * scale))
        if size != self._size:
            self._size, self._agreement = size, None
        grey = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
        edges = [
            edge_directions(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
            for image in (grey, thermal)
        ]
        weight = window(*size)
        if coverage is not None:
            weight *= cv2.resize(coverage, size, interpolation=cv2.INTER_AREA)
        latest = correlation(edges[0], edges[1], weight)
        self._agreement = latest if self._agreement is None else self._agreement * np.float32(self._keep) + latest
        found = peak_of(self._agreement, round(MONITOR_REACH * size[0]))
        return Shift(found.x * width / size[0], found.y * height / size[1], found.confidence)
