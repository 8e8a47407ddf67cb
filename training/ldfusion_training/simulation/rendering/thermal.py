"""The long-wave infrared camera (8 to 14 um): temperatures to radiance, and what its sensor makes of it.

Radiance is taken as proportional to the fourth power of temperature, so that mixing emission, reflection and air
happens on T^4; counts are linear in the apparent temperature (a camera in its radiometric mode).
"""

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.rendering.raycast import Float32s
from ldfusion_training.simulation.rendering.shading import Points, View
from ldfusion_training.simulation.rendering.visible import clouds
from ldfusion_training.simulation.scenery.climate import SMOKE_IN_INFRARED, Climate

KELVIN_PER_COUNT = 0.01
"""Scale of the 16-bit images: temperature = count * 0.01 K."""


def sky_temperature(direction: Float32s, climate: Climate) -> Float32s:
    """Apparent temperature (N,) of the sky in unit directions: cold overhead, as warm as the air at the horizon."""
    if climate.indoors:
        return np.full(len(direction), climate.air, np.float32)
    rise = np.clip(direction[:, 2], 0, 1)
    cold = climate.air - (climate.air - climate.sky_kelvin) * (1 - np.exp(-rise * 5))
    cover = clouds(direction, climate) * (1 - np.exp(-rise * 8))
    return np.asarray(cold + cover * 0.7 * (climate.air - 3 - cold), np.float32)


def surface_temperature(points: Points, sun: Float32s, climate: Climate) -> Float32s:
    """Temperature (N,) in kelvin: air, own heat, sun now and earlier, loss to a clear sky at night."""
    strength = float(np.mean(climate.sun))
    open_sky = 0.0 if climate.indoors else (1 - climate.clouds) * {'day': 0.0, 'dusk': 0.5, 'night': 1.0}[climate.light]
    # Warm air gathers under a roof.
    layers = 0.6 * (points.position[:, 2] - 1.0) if climate.indoors else 0.0
    return np.asarray(
        climate.air
        + layers
        + points.look.heat
        + points.solar * (climate.storage + 0.75 * sun * strength)
        - points.cooling * np.maximum(points.normal[:, 2], 0) * open_sky,
        np.float32,
    )


def apparent_temperature(view: View, sun: Float32s, climate: Climate) -> Float32s:
    """What an ideal camera reads (H, W) in kelvin, with reflections, air and smoke; ``sun`` as for visible light."""
    points = view.points
    temperature = surface_temperature(points, sun, climate)
    emissivity = points.look.emissivity * (1 - 0.85 * (1 - points.facing) ** 5)
    surroundings = np.full(len(points.ray), climate.air + 1.0, np.float32)
    # Where almost nothing is reflected, what is reflected need not be known well.
    mirrors = np.flatnonzero(((1 - emissivity) > 0.02) & (points.mirrored[:, 2] > 0.03))
    surroundings[mirrors] = sky_temperature(points.mirrored[mirrors], climate)
    radiance = np.empty(len(view.unit), np.float32)
    radiance[points.ray] = emissivity * _fourth_power(temperature) + (1 - emissivity) * _fourth_power(surroundings)
    radiance[view.sky] = _fourth_power(sky_temperature(view.unit[view.sky], climate))
    transmission = infrared_transmission(view, climate)
    radiance = radiance * transmission + np.float32((climate.air + 1.0) ** 4) * (1 - transmission)
    return np.asarray(np.sqrt(np.sqrt(view.resolve(radiance))), np.float32)


def infrared_transmission(view: View, climate: Climate) -> Float32s:
    """Part of the radiance of what rays met that reaches the camera (R,), through air and smoke."""
    air = np.float32(climate.infrared_haze) * np.minimum(view.distance, 300)
    return np.asarray(np.exp(-air - np.float32(SMOKE_IN_INFRARED) * view.smoke), np.float32)


def _fourth_power(temperature: Float32s) -> Float32s:
    square = temperature * temperature
    return square * square


class ThermalSensor:
    """An uncooled microbolometer: lens blur, fixed-pattern noise, and noise of a given strength (NETD)."""

    def __init__(self, width: int, height: int, random: np.random.Generator) -> None:
        self._netd = float(random.uniform(0.03, 0.06))
        self._blur = float(random.uniform(0.55, 0.9)) * max(1.0, width / 640)
        columns = random.normal(0, 0.04, (1, width))
        rows = random.normal(0, 0.02, (height, 1))
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        # The housing shines on the edges of the sensor, a bowl that calibration only partly removes.
        bowl = random.uniform(-0.25, 0.25) * (x**2 + y**2)
        self._pattern = (columns + rows + bowl + random.normal(0, 0.03, (height, width))).astype(np.float32)
        self._last: Float32s | None = None

    def read(self, temperature: Float32s, random: np.random.Generator) -> npt.NDArray[np.uint16]:
        """Counts (H, W) for an apparent temperature in kelvin."""
        image = np.asarray(cv2.GaussianBlur(temperature, (0, 0), self._blur), np.float32)
        # Bolometers answer slowly: part of the last frame stays.
        self._last = image if self._last is None else np.float32(0.85) * image + np.float32(0.15) * self._last
        noisy = self._last + self._pattern + np.float32(self._netd) * random.standard_normal(image.shape, np.float32)
        counts = np.clip(noisy / KELVIN_PER_COUNT + 0.5, 0, 65535)
        return np.asarray(counts, np.uint16)
