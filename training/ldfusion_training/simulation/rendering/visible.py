"""The visible camera: light towards the lens, and what lens and sensor make of it."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ldfusion_training.simulation.rendering.raycast import Float32s, World
from ldfusion_training.simulation.rendering.shading import Spot, View, along, lamp_light
from ldfusion_training.simulation.rendering.textures import value_noise
from ldfusion_training.simulation.scenery.climate import Climate


def sky_light(direction: Float32s, climate: Climate) -> Float32s:
    """Radiance (N, 3) of the sky in unit directions (N, 3), with clouds and the glow around the sun."""
    rise = np.clip(direction[:, 2], 0, 1)
    blend = (1 - rise[:, None]) ** 4
    sky = np.array(climate.zenith, np.float32) * (1 - blend) + np.array(climate.horizon, np.float32) * blend
    if climate.indoors:
        return sky
    shade = clouds(direction, climate)
    white = np.float32(np.mean(climate.zenith) * 1.6 + 0.25 * np.mean(climate.sun))
    sky += shade[:, None] * (white - sky)
    towards = np.clip(along(direction, np.array(climate.sun_direction, np.float32)), 0, 1)
    halo = 0.25 * towards**8 + 6.0 * towards**2000 + 0.8 * towards**120
    sky += halo[:, None] * np.array(climate.sun, np.float32) * (1 - 0.8 * shade[:, None])
    return np.asarray(sky, np.float32)


CLOUD_NOISE = ((1.0, 1.4), (0.6, 0.6), (0.3, 0.25))
"""Strength and size of the lumps that clouds are made of."""


def clouds(direction: Float32s, climate: Climate) -> Float32s:
    """Cloud cover (N,), 0 to 1, on a layer far above, in unit directions (N, 3)."""
    height = np.maximum(direction[:, 2], 0.03)
    u, v = direction[:, 0] / height, direction[:, 1] / height
    noise = sum((part * value_noise(u, v, cell) for part, cell in CLOUD_NOISE), np.zeros(len(u), np.float32))
    cover = np.clip(0.5 + 0.5 * noise + 2.4 * (climate.clouds - 0.6), 0, 1)
    return np.asarray(cover * np.clip(direction[:, 2] * 6, 0, 1), np.float32)


def visible_light(
    view: View, sun: Float32s, spots: list[Spot], open_sky: Float32s, world: World, climate: Climate
) -> Float32s:
    """Linear light (H, W, 3) that reaches the camera.

    Args:
        view: what the camera sees.
        sun: cosine of the sun on the points (N,), 0 in shadow.
        spots: lamps.
        open_sky: part of the sky that the points see (N,).
        world: for the lamps' shadows.
        climate: light and air.
    """
    points, look = view.points, view.points.look
    from_above, from_below = _ambient(climate)
    up = 0.5 + 0.5 * points.normal[:, 2:3]
    irradiance = from_above * (up * open_sky[:, None]) + from_below * (1 - up)
    irradiance += sun[:, None] * np.array(climate.sun, np.float32)
    irradiance += lamp_light(points, spots, world, weakest=0.04 * max(float(irradiance.mean()), 0.0025))
    fresnel = look.gloss + (1 - look.gloss) * (1 - points.facing) ** 5 * np.where(look.gloss > 0, 0.6, 0.04)
    colour = look.albedo * irradiance * (1 - fresnel[:, None]) + look.emission
    shiny = np.flatnonzero(look.gloss > 0.015)
    mirrored = points.mirrored[shiny]
    surroundings = np.where(mirrored[:, 2:3] > 0.08, sky_light(mirrored, climate), from_below * 0.8)
    colour[shiny] += fresnel[shiny, None] * surroundings
    light = np.zeros_like(view.unit)
    light[points.ray] = colour
    light[view.sky] = sky_light(view.unit[view.sky], climate)
    haze = np.float32(climate.haze)
    transmission = np.exp(-haze * np.minimum(view.distance, 2000) - view.smoke)[:, None]
    light *= transmission
    light += (1 - transmission) * (0.6 * from_above + 0.25 * np.array(climate.sun, np.float32))
    # Lamps light the air around them only, not all of it up to the sky.
    near = 1 - np.exp(-haze * np.minimum(view.distance, 25) - view.smoke)
    light += near[:, None] * _lamp_haze(spots, view.origin)
    return view.resolve(light)


def _ambient(climate: Climate) -> tuple[Float32s, Float32s]:
    """Irradiance / pi from above and from below."""
    above = (0.75 * np.array(climate.zenith) + 0.35 * np.array(climate.horizon)).astype(np.float32)
    below = (0.25 * above + 0.06 * np.array(climate.sun)).astype(np.float32)
    return above, below if not climate.indoors else above * np.float32(0.7)


def _lamp_haze(spots: list[Spot], origin: Float32s) -> Float32s:
    """Light that lamps near the camera throw on the air in front of it."""
    total = np.zeros(3, np.float32)
    for spot in spots:
        square = float(np.sum((spot.position - origin) ** 2))
        total += spot.colour * np.float32(0.12 / (square + 12.0))
    return total


@dataclass
class Exposure:
    """Automatic exposure that follows the scene slowly; a gain of 1 shows white paper in full sun as white."""

    target: float = 0.17
    longest: float = 40.0
    strongest: float = 110.0
    smoothing: float = 0.7
    gain: float | None = None

    def follow(self, light: Float32s) -> float:
        """The gain for this frame."""
        luminance = np.minimum(light[::4, ::4].mean(-1), np.percentile(light[::4, ::4].mean(-1), 98))
        wanted = self.target / max(float(luminance.mean()), 1e-7)
        # A night that is metered like a day would look like one: dark scenes are shown darker.
        wanted = float(np.clip(wanted if wanted < 4 else 4 * (wanted / 4) ** 0.82, 0.3, self.strongest))
        self.gain = wanted if self.gain is None else self.gain**self.smoothing * wanted ** (1 - self.smoothing)
        return self.gain

    @property
    def shutter(self) -> float:
        """Exposure time in seconds: longer in the dark, up to a sixtieth; beyond that, gain makes up."""
        return min(1 / 60, (self.gain or 1.0) / self.longest / 60)


def _srgb_table() -> npt.NDArray[np.uint8]:
    linear = np.linspace(0, 1, 65536)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8)


SRGB = _srgb_table()
"""8-bit sRGB of linear light in 65536 steps."""


def photograph(
    light: Float32s, motion: Float32s, exposure: Exposure, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Lens and sensor: glare, blur along ``motion`` (H, W, 2) in pixels per second, noise, gamma; RGB (H, W, 3)."""
    gain = exposure.follow(light)
    image = _glare(np.minimum(light * np.float32(gain), 60.0))
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45), np.float32)
    image = _motion_blur(image, motion * np.float32(exposure.shutter))
    analogue = max(1.0, gain / exposure.longest)
    noise = random.standard_normal(image.shape, np.float32)
    image += noise * np.sqrt(
        np.maximum(image, 0) * np.float32(1.2e-4 * analogue) + np.float32((0.0012 * analogue**0.75) ** 2)
    )
    return np.asarray(SRGB[np.clip(image * 65535 + 0.5, 0, 65535).astype(np.uint16)], np.uint8)


def _glare(image: Float32s) -> Float32s:
    """Light of very bright spots spreads in the lens."""
    excess = np.maximum(image - 1.2, 0)
    if float(excess.max()) <= 0:
        return image
    height, width = image.shape[:2]
    small = cv2.resize(excess, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    glow = 0.10 * cv2.GaussianBlur(small, (0, 0), width / 160) + 0.05 * cv2.GaussianBlur(small, (0, 0), width / 40)
    return image + np.asarray(cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _motion_blur(image: Float32s, motion: Float32s) -> Float32s:
    """Average along each pixel's way on the sensor."""
    length = float(np.percentile(np.abs(motion), 99))
    if length < 0.5:
        return image
    steps = min(9, 3 + 2 * int(length / 2))
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros_like(image)
    for part in np.linspace(-0.5, 0.5, steps, dtype=np.float32):
        total += cv2.remap(
            image,
            x + part * motion[..., 0],
            y + part * motion[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return np.asarray(total / np.float32(steps), np.float32)
