"""What a thermal camera sent, in whatever form, to one image of heat: grey, counts or kelvin."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_models.camera.images import AnyImage, as_grey
from ldfusion_models.camera.palettes import invert, is_coloured, palette_of
from ldfusion_models.errors import InputError

TEMPERATURES = ('auto', 'kelvin', 'celsius')
CELSIUS_ZERO = 273.15
# A scene whose median is below this was not measured in kelvin: nothing on earth is so cold.
COLDEST_KELVIN = 150.0
# Rows at an edge that may be telemetry; a row is unlike the picture if this part of its values lies this far, in
# ranges of the picture (1st to 99th percentile) and at least so many counts, outside of it.
TELEMETRY_ROWS, UNLIKE, FAR, LEAST_RANGE = 4, 0.25, 1.0, 64.0
# Telemetry is in every image or in none: so many are looked at.
LOOKS = 100


@dataclass(frozen=True)
class ThermalForm:
    """How a camera's images are made.

    Attributes:
        cut_top, cut_bottom: rows that are no picture: telemetry, or another image.
        temperatures: unit of images of floats; one of ``TEMPERATURES``.
    """

    cut_top: int = 0
    cut_bottom: int = 0
    temperatures: str = 'auto'


class ThermalReader:
    """Reads the images of one camera, one after the other.

    Attributes:
        notes: what somebody should know of them, by kind; each is there from when it was first seen.
    """

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self._palette = ''
        self._looks_left = LOOKS

    def __call__(self, image: AnyImage, form: ThermalForm) -> AnyImage:
        """An image of heat (H, W): grey (uint8), counts (uint16 or int16), or kelvin (float32) without NaN.

        Args:
            image: as decoded, (H, W) or (H, W, 3) RGB; false colours of a known palette are turned back to grey.
            form: of the camera's images.

        Raises:
            InputError: no row or no finite temperature is left.
        """
        rows = image.shape[0] - form.cut_top - form.cut_bottom
        if rows < 1:
            raise InputError(
                f'thermal image of {image.shape[1]}x{image.shape[0]}: thermal_cut_top {form.cut_top} and '
                f'thermal_cut_bottom {form.cut_bottom} leave no row'
            )
        image = image[form.cut_top : form.cut_top + rows]
        if image.dtype == np.float32 and image.ndim == 2:
            return self._kelvin(np.asarray(image, np.float32), form.temperatures)
        if image.dtype == np.uint8 and image.shape[2:] == (3,):
            colours = np.asarray(image, np.uint8)
            return self._without_colours(colours) if is_coloured(colours) else as_grey(image)
        grey = as_grey(image)
        if grey.dtype != np.uint8 and self._looks_left and 'telemetry' not in self.notes:
            self._looks_left -= 1
            self._look_for_telemetry(grey)
        return grey

    def _without_colours(self, image: npt.NDArray[np.uint8]) -> AnyImage:
        self._palette = palette_of(image, self._palette)
        if self._palette:
            self.notes.setdefault(
                'palette', f'thermal images are in false colours ({self._palette}); taken back to grey'
            )
            return invert(image, self._palette)
        self.notes.setdefault(
            'colours',
            'thermal images are in colours of no palette that is known here, and grey taken from them need not rise '
            'with temperature; let the camera send mono8 or counts',
        )
        return as_grey(image)

    def _kelvin(self, values: npt.NDArray[np.float32], unit: str) -> npt.NDArray[np.float32]:
        alive = np.isfinite(values)
        if not alive.any():
            raise InputError('thermal image of temperatures without a finite one')
        if not alive.all():
            values = nearest_alive(values, alive)
        is_celsius = unit == 'celsius' or (unit == 'auto' and float(np.median(values)) < COLDEST_KELVIN)
        return values + np.float32(CELSIUS_ZERO) if is_celsius else values

    def _look_for_telemetry(self, counts: AnyImage) -> None:
        height = counts.shape[0]
        if height < 4 * TELEMETRY_ROWS:
            return
        low, high = np.percentile(counts[TELEMETRY_ROWS:-TELEMETRY_ROWS:2, ::2], (1, 99))
        reach = FAR * max(float(high - low), LEAST_RANGE)
        # One row more: where that is unlike the picture, too, the rows are part of a scene.
        edges = {'top': counts[: TELEMETRY_ROWS + 1], 'bottom': counts[: -TELEMETRY_ROWS - 2 : -1]}
        for edge, rows in edges.items():
            outside = ((rows < low - reach) | (rows > high + reach)).mean(axis=1) > UNLIKE
            found = int(np.argmin(outside)) if not outside.all() else 0
            if found:
                self.notes['telemetry'] = (
                    f'the {found} rows at the {edge} of thermal images are unlike the rest, as telemetry is; '
                    f'if so, set thermal_cut_{edge} to {found}'
                )


def nearest_alive(values: npt.NDArray[np.float32], alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """``values`` (H, W) with dead pixels replaced by the nearest one that is alive."""
    _, labels = cv2.distanceTransformWithLabels(
        np.asarray(~alive, np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(labels.max()) + 1, np.float32)
    by_label[labels[alive]] = values[alive]
    return np.asarray(by_label[labels], np.float32)
